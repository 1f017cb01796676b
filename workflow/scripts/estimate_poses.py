"""Estimate the poses in each clip of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.naming import parse_shard
from mmcl.settings.jobs import PoseEstimation
from mmcl.video.estimate import estimate_poses

with job_log(snakemake.log[0]):
    estimate_poses(
        index=Path(snakemake.input.index),
        videos=snakemake.params.videos,
        shard=parse_shard(snakemake.wildcards.shard),
        output=Path(snakemake.output[0]),
        settings=PoseEstimation.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
