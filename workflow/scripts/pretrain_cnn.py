"""Train a CNN on the training subjects' pictures."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import CnnTraining
from mmcl.training.pretrain_cnn import pretrain_cnn

with job_log(snakemake.log[0]):
    pretrain_cnn(
        skeletons=Path(snakemake.input.skeletons),
        montages=[Path(path) for path in snakemake.input.montages],
        output=Path(snakemake.output.weights),
        settings=CnnTraining.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
