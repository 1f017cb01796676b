"""Read and clean every skeleton of a data set."""

from pathlib import Path

from mmcl.datasets.prepare import prepare_skeletons
from mmcl.logs import job_log
from mmcl.settings.jobs import Preparation

if __name__ == "__main__":  # the pool's processes import this file again
    with job_log(snakemake.log[0]):
        prepare_skeletons(
            index=Path(snakemake.input.index),
            output=Path(snakemake.output[0]),
            settings=Preparation.model_validate(snakemake.params.settings),
            skeletons=snakemake.params.skeletons,
            videos=snakemake.params.videos,
            pose_stores=[Path(path) for path in snakemake.input.poses],
            processes=snakemake.threads,
        )
