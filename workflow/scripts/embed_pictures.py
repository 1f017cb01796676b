"""Embeddings of every picture of a shard, for all questions."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import Embedding
from mmcl.vlm.embed import embed_pictures

with job_log(snakemake.log[0]):
    embed_pictures(
        Path(snakemake.input[0]),
        Path(snakemake.output[0]),
        Embedding.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
