"""The question, and what the vision-language model answers.

Needs: results/montages/<dataset>/<shard>.h5 and `instruction` of the configuration.
Makes: results/questions/<question>.txt, results/answers/<dataset>/<vlm>/<question>/<shard>.h5; in the same pass the
answers to `vlm.also_ask`, in stores of their own beside it. results/<benchmark>/report/{answers.json,answers.png,
gallery.png}: whether a benchmark's answers tell anything about the actions.
"""


localrules:
    write_question,


rule write_question:
    """Freeze the question in a file."""
    output:
        paths.QUESTION,
    log:
        paths.log(paths.QUESTION, "write_question"),
    conda:
        "../../environment.yml"
    params:
        text=PLAN.question_text,
    script:
        "../scripts/write_question.py"


rule answer_question:
    """Ask the vision-language model about every picture and keep its answers' hidden states."""
    input:
        montages=paths.MONTAGES,
        question=paths.QUESTION,
    output:
        paths.ANSWERS,
    log:
        paths.log(paths.ANSWERS, "answer_question"),
    benchmark:
        paths.times(paths.ANSWERS, "answer_question")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.vlm_settings,
        upstream=PLAN.pictures_upstream,
        also=PLAN.further_questions,
    script:
        "../scripts/answer_question.py"


rule examine_answers:
    """Compare what the answers tell about the actions with shuffled answers, before anything is trained on them."""
    input:
        unpack(PLAN.examined),
    output:
        paths.ANSWER_REPORT,
        paths.ANSWER_REPORT.replace(".json", ".png"),
        paths.ANSWER_REPORT.replace("answers.json", "gallery.png"),
    log:
        paths.log(paths.ANSWER_REPORT, "examine_answers"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(2000, answers=4),
    params:
        settings=PLAN.examination_settings,
        upstream=PLAN.examination_upstream,
    script:
        "../scripts/examine_answers.py"
