"""Draw the pictures that the demo's networks learn from or are measured on."""

from pathlib import Path

from mmcl.demo.weights import draw_part
from mmcl.logs import job_log
from mmcl.settings.demo import DemoWeightsSettings

if __name__ == "__main__":  # the pool's processes import this file again
    with job_log(snakemake.log[0]):
        settings = DemoWeightsSettings.model_validate(snakemake.params.settings)
        draw_part(snakemake.wildcards.part, Path(snakemake.output[0]), settings, snakemake.threads)
