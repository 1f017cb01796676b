"""Evaluate the trained models on another data set."""

from pathlib import Path

from mmcl.evaluation.zero_shot import write_zero_shot
from mmcl.logs import job_log
from mmcl.settings.jobs import ZeroShot

with job_log(snakemake.log[0]):
    write_zero_shot(
        Path(snakemake.output[0]),
        models=[Path(path) for path in snakemake.input.models],
        ensemble=Path(snakemake.input.ensemble),
        skeletons=Path(snakemake.input.skeletons),
        answers=[Path(path) for path in snakemake.input.answers],
        settings=ZeroShot.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
