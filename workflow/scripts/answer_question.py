"""Ask the vision-language model about every picture of a shard."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import Answering
from mmcl.vlm.answer import answer_question

with job_log(snakemake.log[0]):
    answer_question(
        pictures=Path(snakemake.input.pictures),
        question=Path(snakemake.input.question),
        output=Path(snakemake.output[0]),
        settings=Answering.model_validate(snakemake.params.settings),
        also=snakemake.params.also.value,
        threads=snakemake.threads,
    )
