"""Freeze the question in a file: the exact text, without a line end."""

from pathlib import Path

from mmcl.logs import job_log

with job_log(snakemake.log[0]):
    Path(snakemake.output[0]).write_bytes(snakemake.params.text.encode())
