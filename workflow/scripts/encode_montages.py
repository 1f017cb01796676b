"""Features of a frozen CNN for every picture of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.video.encode import encode_montages

with job_log(snakemake.log[0]):
    encode_montages(
        Path(snakemake.input[0]),
        Path(snakemake.output[0]),
        snakemake.params.settings,
        threads=snakemake.threads,
    )
