"""Videos to montages of person crops, and frozen CNN features of them.

Needs: results/index/<dataset>.tsv and the videos it names; for a CNN trained here results/skeletons/<dataset>.h5.
Makes: results/crops/<dataset>/<shard>.h5, results/montages/<dataset>/<shard>.h5, results/rgb/<dataset>/<cnn>/<shard>.h5
and, for a CNN trained here, results/rgb/<dataset>/<cnn>/weights.{safetensors,json}
"""


rule crop_people:
    """Choose frames of each clip, find the people in them and cut them out."""
    input:
        index=paths.INDEX,
    output:
        paths.CROPS,
    log:
        paths.log(paths.CROPS, "crop_people"),
    benchmark:
        paths.times(paths.CROPS, "crop_people")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=gpu,
        mem_mb=PLAN.crop_memory,
    params:
        settings=PLAN.crop_settings,
        upstream=PLAN.shard_upstream,
        skeletons=PLAN.folder("skeletons"),
        videos=PLAN.folder("videos"),
    script:
        "../scripts/crop_people.py"


rule concatenate_frames:
    """Put each clip's crops side by side into one picture."""
    input:
        paths.CROPS,
    output:
        paths.MONTAGES,
    log:
        paths.log(paths.MONTAGES, "concatenate_frames"),
    benchmark:
        paths.times(paths.MONTAGES, "concatenate_frames")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(1500),
    params:
        settings=PLAN.montage_settings,
        upstream=PLAN.montage_upstream,
    script:
        "../scripts/concatenate_frames.py"


rule pretrain_cnn:
    """Train a CNN to name the action from the training subjects' pictures; it is frozen afterwards."""
    input:
        skeletons=paths.SKELETONS,
        montages=PLAN.montages,
    output:
        weights=paths.CNN_WEIGHTS,
        about=paths.CNN_ABOUT,
    log:
        paths.log(paths.CNN, "pretrain_cnn"),
    benchmark:
        paths.times(paths.CNN, "pretrain_cnn")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(6000, of_thread=300),
    params:
        settings=PLAN.pretrain_settings,
        upstream=PLAN.pretrain_upstream,
    script:
        "../scripts/pretrain_cnn.py"


rule encode_montages:
    """Features of a frozen CNN for every picture, computed once."""
    input:
        montages=paths.MONTAGES,
        weights=PLAN.pretrained_weights,
    output:
        paths.RGB,
    log:
        paths.log(paths.RGB, "encode_montages"),
    benchmark:
        paths.times(paths.RGB, "encode_montages")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(4000),
    params:
        settings=PLAN.cnn_settings,
        upstream=PLAN.rgb_upstream,
    script:
        "../scripts/encode_montages.py"
