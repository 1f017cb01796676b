"""Features of a frozen CNN for every picture of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import Encoding
from mmcl.video.encode import encode_montages

with job_log(snakemake.log[0]):
    trained_here = [Path(path) for path in snakemake.input.weights]
    encode_montages(
        Path(snakemake.input.montages),
        Path(snakemake.output[0]),
        Encoding.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
        weights=trained_here[0] if trained_here else None,
    )
