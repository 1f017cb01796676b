"""Training and scoring of one stream.

Needs: results/skeletons/<dataset>.h5; with FAM results/montages or results/rgb; with FRM results/answers; with
train.init another training's encoders, with train.distil another benchmark's ensemble.json and its models.
Makes: results/<benchmark>/<question>/<backbone>-<graph>/<stream>/seed-<n>/{model.pt,settings.json,history.csv,
scores.h5,metrics.json}, and the same in seed-<n>/fit/ for the run that fixes fusion weights.
"""


rule train_stream:
    """Train one stream together with the pictures and the answers."""
    input:
        skeletons=PLAN.skeletons,
        pictures=PLAN.training_pictures,
        answers=PLAN.training_answers,
        init=PLAN.initial_encoders,
        teachers=PLAN.teachers,
        ensemble=PLAN.teaching_ensemble,
    output:
        model="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/model.pt",
        settings="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/settings.json",
        history="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/history.csv",
    log:
        "results/logs/train_stream/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}.log",
    benchmark:
        "results/times/train_stream/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=PLAN.training_gpus,
        processes=PLAN.training_processes,
        mem_mb=16000,
    params:
        settings=PLAN.stream_settings,
    script:
        "../scripts/train_stream.py"


rule score_stream:
    """Scores of the test clips from the skeleton alone; of the held-out training subjects for a fit run."""
    input:
        model="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/model.pt",
        skeletons=PLAN.skeletons,
    output:
        scores="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/scores.h5",
        metrics="results/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}/metrics.json",
    log:
        "results/logs/score_stream/{benchmark}/{question}/{backbone}-{graph}/{stream}/{run}.log",
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.score_settings,
    script:
        "../scripts/score_stream.py"
