"""What all rules share: the checked configuration, what follows from it, and what wildcards may be."""

import os
from pathlib import Path

from mmcl import paths
from mmcl.config import Config
from mmcl.device import stated_device
from mmcl.errors import UserError
from mmcl.job_memory import job_memory
from mmcl.plan import GPU, Plan
from mmcl.provenance import keep_records, settle
from mmcl.running import hold
from snakemake.exceptions import WorkflowError

try:
    stated_device()  # its name alone: the jobs may run on other machines
    CONFIG = Config(config)
except UserError as mistake:
    raise WorkflowError(f"configuration: {mistake}") from None

PLAN = Plan(CONFIG)

if CONFIG.tensorboard:
    os.environ["MMCL_TENSORBOARD"] = "on"  # no params, which would make results anew; jobs inherit it

if workflow.is_main_process:
    settle(Path("results"), Path(".snakemake"))


def hold_outputs():
    """Stop where another run is to make what this one plans."""
    try:
        hold((file for job in workflow.dag.needrun_jobs() for file in job.output), Path(".snakemake"))
    except UserError as busy:
        raise WorkflowError(str(busy)) from None


# names are one folder or file; which there are, and which one was meant, is told by the functions of PLAN
NAMES = (
    "dataset",
    "target",
    "benchmark",
    "protocol",
    "shard",
    "question",
    "vlm",
    "cnn",
    "member",
    "settings",
)


wildcard_constraints:
    **dict.fromkeys(NAMES, "[^/]+"),
    run="seed-[0-9]+(/fit)?",
    seed="[0-9]+",
    fold="[1-9][0-9]*",
    what="pretrain|student|random",
    network="detector|vlm|cnn|pose",
