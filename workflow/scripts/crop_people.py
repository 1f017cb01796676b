"""Cut the people out of chosen frames of each clip of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.naming import parse_shard
from mmcl.settings.jobs import Cropping
from mmcl.video.crop import crop_people

with job_log(snakemake.log[0]):
    crop_people(
        index=Path(snakemake.input.index),
        shard=parse_shard(snakemake.wildcards.shard),
        output=Path(snakemake.output[0]),
        settings=Cropping.model_validate(snakemake.params.settings),
        skeletons=snakemake.params.skeletons,
        videos=snakemake.params.videos,
        threads=snakemake.threads,
    )
