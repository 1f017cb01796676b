"""Write a benchmark's report."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report.page import write_report
from mmcl.report.sources import Sources

with job_log(snakemake.log[0]):
    write_report(
        Sources.of_inputs(snakemake.wildcards.benchmark, dict(snakemake.input.items())),
        Path(snakemake.output.page),
        plots={Path(plot).stem: Path(plot) for plot in snakemake.input.plots},
        markdown=Path(snakemake.output.markdown),
        json=Path(snakemake.output.json),
    )
