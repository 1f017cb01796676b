"""The question, and what the vision-language model answers.

Needs: results/montages/<dataset>/<shard>.h5, or results/crops/… where the model sees them as a video
(`vlm.options.frames_as_video`), and `instruction` of the configuration.
Makes: results/questions/<question>.txt, results/answers/<dataset>/<vlm>/<question>/<shard>.h5; in the same pass the
answers to `vlm.also_ask`, in stores of their own beside it. Where `vlm.adapter` is `imported`, the answers come from
the folder `vlm.weights` and no picture is needed.
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
        pictures=PLAN.asked_about,
        question=paths.QUESTION,
    output:
        paths.ANSWERS,
    log:
        paths.log(paths.ANSWERS, "answer_question"),
    benchmark:
        paths.times(paths.ANSWERS, "answer_question")
    wildcard_constraints:
        vlm=f"(?!({PLAN.imported_vlms})/)[^/]+",
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.vlm_settings,
        upstream=PLAN.answers_upstream,
        also=PLAN.further_questions,
    script:
        "../scripts/answer_question.py"


rule import_answers:
    """Check answers that were made elsewhere, by any model, and keep them as those of a model that ran here."""
    input:
        index=paths.INDEX,
        question=paths.QUESTION,
    output:
        paths.ANSWERS,
    log:
        paths.log(paths.ANSWERS, "import_answers"),
    benchmark:
        paths.times(paths.ANSWERS, "import_answers")
    wildcard_constraints:
        vlm=PLAN.imported_vlms,
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
    params:
        settings=PLAN.vlm_settings,
        upstream=PLAN.import_upstream,
        content=PLAN.imported_content,
    script:
        "../scripts/import_answers.py"
