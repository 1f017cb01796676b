"""Training and scoring of one stream; benchmarks whose members have equal settings share it.

Needs: results/skeletons/<dataset>.h5 and what the co-learning terms need: with FAM results/montages or results/rgb, with
FRM results/answers; with train.init another training's model, with train.distil another benchmark's ensemble.json and
its models.
Makes: results/streams/<dataset>/<protocol>/<backbone>-<graph>-<stream>/<settings>/seed-<n>/{model.pt,settings.json,
history.csv,scores.h5,metrics.json}, and the same in …/seed-<n>/fit/ for the run that fixes fusion weights.
"""


rule train_stream:
    """Train one stream together with what its co-learning terms need."""
    input:
        unpack(PLAN.training_inputs),
        skeletons=PLAN.training_skeletons,
        init=PLAN.initial_model,
    output:
        model=paths.in_folder(paths.RUN, "model.pt"),
        settings=paths.in_folder(paths.RUN, "settings.json"),
        history=paths.in_folder(paths.RUN, "history.csv"),
    log:
        paths.log(paths.RUN, "train_stream"),
    benchmark:
        paths.times(paths.RUN, "train_stream")
    conda:
        "../../environment.yml"
    threads: PLAN.training_threads
    resources:
        gpu=training_gpus,
        processes=PLAN.training_processes,
        mem_mb=job_memory(4000, of_thread=PLAN.picture_memory, skeletons=4, answer=PLAN.answer_memory),
    params:
        settings=PLAN.stream_settings,
        upstream=PLAN.training_upstream,
    script:
        "../scripts/train_stream.py"


rule score_stream:
    """Scores of the test clips from the skeleton alone; of the held-out training subjects for a fit run."""
    input:
        model=paths.in_folder(paths.RUN, "model.pt"),
        skeletons=PLAN.training_skeletons,
    output:
        scores=paths.in_folder(paths.RUN, "scores.h5"),
        metrics=paths.in_folder(paths.RUN, "metrics.json"),
    log:
        paths.log(paths.RUN, "score_stream"),
    benchmark:
        paths.times(paths.RUN, "score_stream")
    conda:
        "../../environment.yml"
    threads: PLAN.training_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(4000, skeletons=2),
    params:
        settings=PLAN.score_settings,
        upstream=PLAN.score_upstream,
    script:
        "../scripts/score_stream.py"
