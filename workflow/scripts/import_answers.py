"""Check answers that were made elsewhere and keep those about a shard's clips."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import Answering
from mmcl.vlm.import_answers import import_answers

with job_log(snakemake.log[0]):
    import_answers(
        index=Path(snakemake.input.index),
        question=Path(snakemake.input.question),
        output=Path(snakemake.output[0]),
        settings=Answering.model_validate(snakemake.params.settings),
        content=snakemake.params.content,
    )
