"""People's joints in videos, for recordings without skeletons.

Needs: results/index/<dataset>.tsv and the videos it names.
Makes: results/poses/<dataset>/<shard>.h5
"""


rule estimate_poses:
    """Find people's joints in the frames of each clip and track them through time (ultralytics, AGPL-3.0)."""
    input:
        index=paths.INDEX,
    output:
        paths.POSES,
    log:
        paths.log(paths.POSES, "estimate_poses"),
    benchmark:
        paths.times(paths.POSES, "estimate_poses")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(6000),
    params:
        settings=PLAN.pose_settings,
        upstream=PLAN.shard_upstream,
        videos=PLAN.folder("videos"),
    script:
        "../scripts/estimate_poses.py"
