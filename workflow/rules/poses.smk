"""People's joints in videos, for recordings without skeletons.

Needs: results/index/<dataset>.tsv and the videos it names.
Makes: results/poses/<dataset>/<shard>.h5
"""


rule estimate_poses:
    """Find people's joints in the frames of each clip and follow them through time (ultralytics, AGPL-3.0)."""
    input:
        index="results/index/{dataset}.tsv",
    output:
        "results/poses/{dataset}/{shard}.h5",
    log:
        "results/logs/estimate_poses/{dataset}/{shard}.log",
    benchmark:
        "results/times/estimate_poses/{dataset}/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=GPU,
        mem_mb=6000,
    params:
        settings=PLAN.pose_settings,
        videos=PLAN.folder("videos"),
    script:
        "../scripts/estimate_poses.py"
