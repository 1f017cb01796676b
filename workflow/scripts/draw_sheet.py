"""Draw a contact sheet of a benchmark's pictures."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.report import pictures
from mmcl.report.sources import Sources

with job_log(snakemake.log[0]):
    draw = {"draw_crops": pictures.crops, "draw_gallery": pictures.gallery}[snakemake.rule]
    sources = Sources(snakemake.wildcards.benchmark, ensemble=Path(snakemake.input.ensemble))
    draw(sources, Path(snakemake.output[0]))
