"""Whether a benchmark's answers tell anything about the actions."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report.answers import write_report
from mmcl.settings.jobs import Examination

with job_log(snakemake.log[0]):
    write_report(
        *(Path(path) for path in snakemake.output),
        skeletons=Path(snakemake.input.skeletons[0]),
        answers=[Path(path) for path in snakemake.input.answers],
        settings=Examination.model_validate(snakemake.params.settings),
    )
