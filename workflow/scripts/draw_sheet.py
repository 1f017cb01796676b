"""Draw a contact sheet of a benchmark's pictures."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report import sheets
from mmcl.report.sources import Sources

with job_log(snakemake.log[0]):
    draw = {"draw_crops": sheets.crops, "draw_gallery": sheets.gallery}[snakemake.rule]
    sources = Sources(snakemake.wildcards.benchmark, ensemble=Path(snakemake.input.ensemble))
    draw(sources, Path(snakemake.output[0]))
