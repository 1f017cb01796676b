"""Draw one of the demo's data sets."""

from pathlib import Path

from mmcl import paths
from mmcl.demo.dataset import draw_dataset
from mmcl.logs import job_log
from mmcl.settings.jobs import Drawing

if __name__ == "__main__":  # the pool's processes import this file again
    with job_log(snakemake.log[0]):
        settings = Drawing.model_validate(snakemake.params.settings)
        draw_dataset(Path(snakemake.output[0]).parent, settings, processes=snakemake.threads)
        # the recordings are others now: their content stamps begin anew with the index
        Path(paths.at(paths.SEEN, dataset=snakemake.wildcards.dataset)).unlink(missing_ok=True)
