"""Put the probes of all seeds together."""

from pathlib import Path

from mmcl.evaluation.probed import write_result
from mmcl.logs import job_log
from mmcl.settings.jobs import IkemResult

with job_log(snakemake.log[0]):
    write_result(
        Path(snakemake.output[0]),
        metrics={what: [Path(path) for path in paths] for what, paths in snakemake.input.items()},
        settings=IkemResult.model_validate(snakemake.params.settings),
    )
