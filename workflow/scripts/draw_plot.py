"""Draw one part of a report."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report.collected import collect
from mmcl.report.pictures import PLOTS
from mmcl.report.sources import Sources

with job_log(snakemake.log[0]):
    sources = Sources.of_inputs(snakemake.wildcards.benchmark, dict(snakemake.input.items()))
    part = snakemake.wildcards.part
    PLOTS[part](collect(sources, only=[part]), Path(snakemake.output[0]))
