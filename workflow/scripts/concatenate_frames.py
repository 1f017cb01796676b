"""Put each clip's crops side by side."""

from pathlib import Path

from mmcl.logs import job_log
from mmcl.settings.jobs import Montages
from mmcl.video.montage import concatenate_frames

with job_log(snakemake.log[0]):
    settings = Montages.model_validate(snakemake.params.settings)
    concatenate_frames(Path(snakemake.input[0]), Path(snakemake.output[0]), settings)
