"""Videos to pictures of five person crops, and frozen CNN features of them.

Needs: results/index/<dataset>.tsv and the videos it names; for a CNN trained here results/skeletons/<dataset>.h5.
Makes: results/crops/<dataset>/<shard>.h5, results/montages/<dataset>/<shard>.h5, results/rgb/<dataset>/<cnn>/<shard>.h5
and, for a CNN trained here, results/rgb/<dataset>/<cnn>/weights.{safetensors,json}
"""


rule crop_people:
    """Choose five frames of each clip, find the people in them and cut them out."""
    input:
        index="results/index/{dataset}.tsv",
    output:
        "results/crops/{dataset}/{shard}.h5",
    log:
        "results/logs/crop_people/{dataset}/{shard}.log",
    benchmark:
        "results/times/crop_people/{dataset}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=6000,
    params:
        settings=PLAN.crop_settings,
        skeletons=PLAN.folder("skeletons"),
        videos=PLAN.folder("videos"),
    script:
        "../scripts/crop_people.py"


rule concatenate_frames:
    """Put each clip's five crops side by side into one picture."""
    input:
        "results/crops/{dataset}/{shard}.h5",
    output:
        "results/montages/{dataset}/{shard}.h5",
    log:
        "results/logs/concatenate_frames/{dataset}/{shard}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.montage_settings,
    script:
        "../scripts/concatenate_frames.py"


rule pretrain_cnn:
    """Train a CNN to name the action from the training subjects' pictures; it is frozen afterwards."""
    input:
        skeletons="results/skeletons/{dataset}.h5",
        montages=PLAN.montages,
    output:
        weights="results/rgb/{dataset}/{cnn}/weights.safetensors",
        about="results/rgb/{dataset}/{cnn}/weights.json",
    log:
        "results/logs/pretrain_cnn/{dataset}/{cnn}.log",
    benchmark:
        "results/times/pretrain_cnn/{dataset}/{cnn}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=PLAN.pretrain_settings,
    script:
        "../scripts/pretrain_cnn.py"


rule encode_montages:
    """Features of a frozen CNN for every picture, computed once."""
    input:
        montages="results/montages/{dataset}/{shard}.h5",
        weights=PLAN.pretrained_weights,
    output:
        "results/rgb/{dataset}/{cnn}/{shard}.h5",
    log:
        "results/logs/encode_montages/{dataset}/{cnn}/{shard}.log",
    benchmark:
        "results/times/encode_montages/{dataset}/{cnn}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=6000,
    params:
        settings=PLAN.cnn_settings,
    script:
        "../scripts/encode_montages.py"
