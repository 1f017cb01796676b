"""Draw one of the demo's data sets."""

from pathlib import Path

from mmcl.demo.dataset import draw_dataset
from mmcl.logs import job_log
from mmcl.settings.jobs import Drawing

if __name__ == "__main__":  # the pool's processes import this file again
    with job_log(snakemake.log[0]):
        draw_dataset(
            Path(snakemake.output[0]).parent,
            Drawing.model_validate(snakemake.params.settings),
            processes=snakemake.threads,
        )
