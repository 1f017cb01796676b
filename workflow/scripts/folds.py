"""Mean and interval over folds."""

from pathlib import Path

from mmcl.evaluation.folds import write_folds
from mmcl.logs import job_log
from mmcl.settings.jobs import FoldsResult

with job_log(snakemake.log[0]):
    write_folds(
        Path(snakemake.output.result),
        Path(snakemake.output.table),
        ensembles=[Path(path) for path in snakemake.input.ensembles],
        settings=FoldsResult.model_validate(snakemake.params.settings),
    )
