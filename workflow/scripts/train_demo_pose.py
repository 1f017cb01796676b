"""Train and measure the demo's pose estimator."""

from pathlib import Path

from mmcl.demo.weights import train_and_measure
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    train_and_measure(
        "pose",
        Path(snakemake.input.pictures),
        Path(snakemake.input.held_out),
        Path(snakemake.output[0]),
        snakemake.params.settings["seed"],
        snakemake.threads,
    )
