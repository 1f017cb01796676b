"""Train one stream."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.training.train import train_stream

with job_log(snakemake.log[0]):
    frozen = snakemake.params.settings["model"]["fam"]["cnn"]["frozen"]
    pictures = {"rgb" if frozen else "montages": [Path(path) for path in snakemake.input.pictures]}
    train_stream(
        skeletons=Path(snakemake.input.skeletons),
        answers=[Path(path) for path in snakemake.input.answers],
        output=Path(snakemake.output.model),
        settings=snakemake.params.settings,
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
        **pictures,
    )
