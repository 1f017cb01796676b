"""The question, and what the vision-language model answers.

Needs: results/montages/<dataset>/<shard>.h5 and `instruction` of the configuration.
Makes: results/questions/<question>.txt, results/answers/<dataset>/<vlm>/<question>/<shard>.h5; in the same pass the
answers to `vlm.also_ask`, in stores of their own beside it; with `vlm.cache_images`
results/embeddings/<dataset>/<vlm>/<shard>.h5, from which every question is answered.
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
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.embedding_settings,
        upstream=PLAN.pictures_upstream,
    script:
        "../scripts/embed_pictures.py"


rule answer_question:
    """Ask the vision-language model about every picture and keep its answers' hidden states."""
    input:
        pictures=PLAN.asked_pictures,
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
        upstream=PLAN.answers_upstream,
        also=PLAN.further_questions,
    script:
        "../scripts/answer_question.py"
