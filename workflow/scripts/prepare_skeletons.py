"""Read and clean every skeleton of a data set."""

from pathlib import Path

from mmcl.datasets.prepare import prepare_skeletons
from mmcl.logs import job_log

if __name__ == "__main__":  # the pool's processes import this file again
    with job_log(snakemake.log[0]):
        prepare_skeletons(
            index=Path(snakemake.input.index),
            dataset={
                **snakemake.params.settings,
                "skeletons": snakemake.params.skeletons,
                "videos": snakemake.params.videos,
                "pose_stores": list(snakemake.input.poses),
            },
            output=Path(snakemake.output[0]),
            settings=snakemake.params.settings,
            processes=snakemake.threads,
        )
