"""Cut the people out of five frames of each clip of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.naming import parse_shard
from mmcl.video.crop import crop_people

with job_log(snakemake.log[0]):
    folders = {"skeletons": snakemake.params.skeletons, "videos": snakemake.params.videos}
    crop_people(
        index=Path(snakemake.input.index),
        dataset={**snakemake.params.settings, **folders},
        shard=parse_shard(snakemake.wildcards.shard),
        output=Path(snakemake.output[0]),
        settings=snakemake.params.settings["video"],
        threads=snakemake.threads,
    )
