"""Pre-train an encoder a modality."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.selfsup.train import pretrain_streams

with job_log(snakemake.log[0]):
    pretrain_streams(
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.model),
        settings=snakemake.params.settings,
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
    )
