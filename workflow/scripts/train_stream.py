"""Train one stream."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.training.train import train_stream

with job_log(snakemake.log[0]):
    frozen = snakemake.params.settings["model"]["fam"]["cnn"]["frozen"]
    given = {
        key: [Path(path) for path in snakemake.input[key]] for key in ("pictures", "answers", "teachers")
    }
    single = {key: Path(snakemake.input[key][0]) for key in ("init", "ensemble") if snakemake.input[key]}
    given["rgb" if frozen else "montages"] = given.pop("pictures")
    train_stream(
        skeletons=Path(snakemake.input.skeletons),
        output=Path(snakemake.output.model),
        settings=snakemake.params.settings,
        threads=snakemake.threads,
        gpus=snakemake.resources.processes,
        **given,
        **single,
    )
