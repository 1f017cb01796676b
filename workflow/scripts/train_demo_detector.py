"""Train the demo's detector."""

from pathlib import Path

from mmcl.demo.train_detector import train_detector
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    train_detector(Path(snakemake.output[0]), snakemake.params.settings)
