"""Train and measure one of the demo's networks."""

from pathlib import Path

from mmcl.demo.weights import train_and_measure
from mmcl.logs import job_log
from mmcl.settings.demo import DemoWeightsSettings

with job_log(snakemake.log[0]):
    train_and_measure(
        snakemake.wildcards.network,
        Path(snakemake.input.pictures),
        Path(snakemake.input.held_out),
        Path(snakemake.output[0]),
        DemoWeightsSettings.model_validate(snakemake.params.settings),
        snakemake.threads,
    )
