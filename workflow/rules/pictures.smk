"""Videos to pictures of five person crops, and frozen CNN features of them.

Needs: results/index/<dataset>.tsv and the videos it names.
Makes: results/crops/<dataset>/<shard>.h5, results/montages/<dataset>/<shard>.h5, results/rgb/<dataset>/<cnn>/<shard>.h5
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


rule encode_montages:
    """Features of a frozen CNN for every picture, computed once."""
    input:
        "results/montages/{dataset}/{shard}.h5",
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
