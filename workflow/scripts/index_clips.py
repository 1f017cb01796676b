"""List a data set's clips."""

from pathlib import Path

from mmcl.datasets.prepare import index_clips
from mmcl.logs import job_log
from mmcl.settings.jobs import Indexing

with job_log(snakemake.log[0]):
    index_clips(
        output=Path(snakemake.output[0]),
        settings=Indexing.model_validate(snakemake.params.settings),
        skeletons=snakemake.params.skeletons,
        videos=snakemake.params.videos,
        stamp=snakemake.params.stamp,
    )
