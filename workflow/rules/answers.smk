"""The question, and what the vision-language model answers.

Needs: results/montages/<dataset>/<shard>.h5, or results/crops/… where the model sees them as a video
(`vlm.options.frames_as_video`), and `instruction` of the configuration.
Makes: results/questions/<question>.txt, results/answers/<dataset>/<vlm>/<question>/<shard>.h5; in the same pass the
answers to `vlm.also_ask`, in stores of their own beside it; with `vlm.cache_images`
results/embeddings/<dataset>/<vlm>/<shard>.h5, from which every question is answered. Where
`vlm.adapter` is `imported`, the answers come from the folder `vlm.weights` and no picture is needed.
Also makes results/<benchmark>/report/{answers.json,answers.png}: whether a benchmark's answers tell
anything about the actions.
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


rule embed_pictures:
    """Encode every picture once, for all questions."""
    input:
        paths.MONTAGES,
    output:
        paths.EMBEDDINGS,
    log:
        paths.log(paths.EMBEDDINGS, "embed_pictures"),
    benchmark:
        paths.times(paths.EMBEDDINGS, "embed_pictures")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=gpu,
        mem_mb=PLAN.vlm_memory,
    params:
        settings=PLAN.embedding_settings,
        upstream=PLAN.pictures_upstream,
    script:
        "../scripts/embed_pictures.py"


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
        gpu=gpu,
        mem_mb=PLAN.vlm_memory,
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
        mem_mb=job_memory(2000),
    params:
        settings=PLAN.vlm_settings,
        upstream=PLAN.import_upstream,
        content=PLAN.imported_content,
    script:
        "../scripts/import_answers.py"


rule examine_answers:
    """Compare what the answers tell about the actions with shuffled answers, before anything is trained on them."""
    input:
        unpack(PLAN.examined),
    output:
        paths.ANSWER_REPORT,
        report(
            paths.at(paths.PLOT, benchmark="{benchmark}", part="answers"),
            caption="../report/answers.rst",
            category="{benchmark}",
            subcategory="pictures and answers",
            labels={"figure": "what the answers tell"},
        ),
    log:
        paths.log(paths.ANSWER_REPORT, "examine_answers"),
    benchmark:
        paths.times(paths.ANSWER_REPORT, "examine_answers")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(2000, answers=4),
    params:
        settings=PLAN.examination_settings,
        upstream=PLAN.examination_upstream,
    script:
        "../scripts/examine_answers.py"
