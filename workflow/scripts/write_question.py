"""Freeze the question in a file: the exact text, without a line end."""

from pathlib import Path

from mmcl.files import write_text
from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    write_text(Path(snakemake.output[0]), snakemake.params.text)
