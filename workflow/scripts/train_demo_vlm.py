"""Train the demo's vlm."""

from pathlib import Path

from mmcl.demo.train_vlm import train_vlm
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    train_vlm(Path(snakemake.output[0]), snakemake.params.settings)
