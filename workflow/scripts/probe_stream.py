"""Probe frozen encoders."""

from pathlib import Path

from mmcl.evaluation.probe import probe_stream
from mmcl.logs import job_log
from mmcl.settings.jobs import Probing

with job_log(snakemake.log[0]):
    probe_stream(
        model=Path(snakemake.input.model),
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.scores),
        metrics=Path(snakemake.output.metrics),
        settings=Probing.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
