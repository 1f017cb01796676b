"""Count and time what recognising one clip takes."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report.cost import write_cost

with job_log(snakemake.log[0]):
    write_cost(Path(snakemake.output[0]), Path(snakemake.input.ensemble))
