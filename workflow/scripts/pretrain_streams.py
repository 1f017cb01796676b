"""Pre-train one encoder per modality."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.selfsup.train import pretrain_streams
from mmcl.settings.jobs import Pretraining

with job_log(snakemake.log[0]):
    pretrain_streams(
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.model),
        settings=Pretraining.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
    )
