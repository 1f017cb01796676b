"""Train the demo's cnn."""

from pathlib import Path

from mmcl.demo.train_cnn import train_cnn
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    train_cnn(Path(snakemake.output[0]), snakemake.params.settings)
