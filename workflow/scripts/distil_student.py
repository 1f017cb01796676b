"""Distil the encoders of all modalities into fewer."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.selfsup.train import distil_student
from mmcl.settings.jobs import StudentTraining

with job_log(snakemake.log[0]):
    distil_student(
        skeletons=Path(snakemake.input.skeletons),
        teachers=Path(snakemake.input.teachers),
        output=Path(snakemake.output.model),
        settings=StudentTraining.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
    )
