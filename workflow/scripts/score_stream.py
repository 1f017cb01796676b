"""Score the test clips with one trained stream."""

from pathlib import Path

from mmcl.evaluation.score import score_stream
from mmcl.logs import job_log
from mmcl.settings.jobs import Scoring

with job_log(snakemake.log[0]):
    score_stream(
        model=Path(snakemake.input.model),
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.scores),
        metrics=Path(snakemake.output.metrics),
        settings=Scoring.model_validate(snakemake.params.settings),
        threads=snakemake.threads,
    )
