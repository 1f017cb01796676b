"""The question, and what the vision-language model answers.

Needs: results/montages/<dataset>/<shard>.h5 and `instruction` of the configuration.
Makes: results/questions/<question>.txt, results/answers/<dataset>/<vlm>/<question>/<shard>.h5
"""


localrules:
    write_question,


rule write_question:
    """Freeze the question in a file."""
    output:
        "results/questions/{question}.txt",
    log:
        "results/logs/write_question/{question}.log",
    conda:
        "../../environment.yml"
    params:
        text=PLAN.question_text,
    script:
        "../scripts/write_question.py"


rule answer_question:
    """Ask the vision-language model about every picture and keep its answer's hidden states."""
    input:
        montages="results/montages/{dataset}/{shard}.h5",
        question="results/questions/{question}.txt",
    output:
        "results/answers/{dataset}/{vlm}/{question}/{shard}.h5",
    log:
        "results/logs/answer_question/{dataset}/{vlm}/{question}/{shard}.log",
    benchmark:
        "results/times/answer_question/{dataset}/{vlm}/{question}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.vlm_settings,
    script:
        "../scripts/answer_question.py"
