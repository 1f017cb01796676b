"""Before the configuration is loaded: names of files that jobs can take, and config files that are data.

Snakemake would run the Python in a config file with the key `__use_yte__`. Files of `--configfile` are loaded before any
line of the workflow, so of these this is told afterwards.
"""

import sys
from pathlib import Path

from mmcl.config import DEMO
from mmcl.errors import UserError
from mmcl.naming import PROJECT
from mmcl.settings.loading import read_config
from mmcl.start import check_names, check_no_result, check_project, escape_output, quoted_python
from snakemake.exceptions import WorkflowError

escape_output()
sys.executable = quoted_python()

try:
    check_names()
    for folder in (Path(workflow.basedir), PROJECT):
        check_project(folder)
    for file in (Path("config.yaml"), *workflow.overwrite_configfiles):
        check_no_result(Path(file))
        if file.exists():
            read_config(file)
except UserError as mistake:
    raise WorkflowError(str(mistake)) from None
