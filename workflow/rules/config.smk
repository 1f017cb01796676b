"""Config files are looked at before Snakemake loads them: one with the key `__use_yte__` is a program that it would run.

Files of `--configfile` are loaded before any line of the workflow, so of these this is told afterwards.
"""

from pathlib import Path

from mmcl.errors import UserError
from mmcl.settings.loading import read_config
from snakemake.exceptions import WorkflowError

try:
    for file in (Path("resources/demo/config.yaml"), Path("config.yaml"), *workflow.overwrite_configfiles):
        if file.exists():
            read_config(file)
except UserError as mistake:
    raise WorkflowError(f"configuration: {mistake}") from None
