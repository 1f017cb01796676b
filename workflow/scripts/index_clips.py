"""List a data set's clips."""

from pathlib import Path

from mmcl.datasets.prepare import index_clips
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    index_clips(snakemake.params.settings, Path(snakemake.output[0]))
