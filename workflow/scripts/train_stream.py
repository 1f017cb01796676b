"""Train one stream."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import StreamTraining
from mmcl.training.train import train_stream

with job_log(snakemake.log[0]):
    terms = [name for name, _ in snakemake.input.items() if name not in ("skeletons", "init")]
    init = snakemake.input.init
    train_stream(
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.model),
        settings=StreamTraining.model_validate(snakemake.params.settings),
        inputs={name: [Path(path) for path in snakemake.input[name]] for name in terms},
        init=Path(init[0]) if init else None,
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
    )
