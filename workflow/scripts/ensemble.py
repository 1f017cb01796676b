"""Add the members' scores."""

from pathlib import Path

from mmcl.evaluation.ensemble import write_ensemble
from mmcl.logs import job_log
from mmcl.settings.jobs import Fusion

with job_log(snakemake.log[0]):
    write_ensemble(
        Path(snakemake.output[0]),
        scores=[Path(path) for path in snakemake.input.scores],
        metrics=[Path(path) for path in snakemake.input.metrics],
        fit=[Path(path) for path in snakemake.input.fit],
        settings=Fusion.model_validate(snakemake.params.settings),
    )
