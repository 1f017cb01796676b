"""What all rules share: the checked configuration, what follows from it, and what wildcards may be."""

import atexit
import sys
from pathlib import Path

from mmcl import paths
from mmcl.config import Config
from mmcl.device import stated_device
from mmcl.errors import UserError
from mmcl.job_memory import job_memory
from mmcl.leftovers import discard
from mmcl.plan import HAS_GPU, Plan
from mmcl.planned import announce, check, want_event_files
from mmcl.provenance import keep_records, settle
from mmcl.running import hold
from mmcl.slurm import keep_asking
from mmcl.weights_needed import check_weights
from snakemake.exceptions import WorkflowError

try:
    stated_device()  # its name alone: the jobs may run on other machines
    CONFIG = Config(config)
    if workflow.is_main_process:
        announce(config)
    else:
        check(config)
except UserError as mistake:
    raise WorkflowError(f"configuration: {mistake}") from None

PLAN = Plan(CONFIG)

if CONFIG.tensorboard:
    want_event_files()

if workflow.is_main_process:
    settle(Path("results"), Path(".snakemake"))
    if plugin := sys.modules.get("snakemake_executor_plugin_slurm"):
        keep_asking(plugin.Executor)


def hold_outputs():
    """Stop where another run is to make what this one plans."""
    try:
        hold((file for job in workflow.dag.needrun_jobs() for file in job.output), Path(".snakemake"))
    except UserError as busy:
        raise WorkflowError(str(busy)) from None


def find_weights():
    """Stop where a job that is to run lacks its weights."""
    try:
        needed = workflow.dag.needrun_jobs(exclude_finished=False)
        check_weights((job.rule.name, job.params.get("settings", {})) for job in needed)
    except UserError as missing:
        raise WorkflowError(str(missing)) from None


def warn_of_weights():
    """After a plan: say which weights its jobs would lack."""
    if workflow.dryrun and workflow.dag:
        try:
            find_weights()
        except WorkflowError as missing:
            print(f"This run would stop before its first job: {missing}", file=sys.stderr)


if workflow.is_main_process:
    atexit.register(warn_of_weights)


def discard_of_finished():
    """Remove what the jobs of this run kept until they were recorded."""
    discard(file for job in workflow.dag.finished_jobs for file in job.output)


def on_cluster():
    """Whether jobs run elsewhere than on this machine; in a plan of such a run, too."""
    return workflow.remote_exec or getattr(workflow.execution_settings, "use_threads", False)


def gpu(wildcards):
    """GPUs of a job; on this machine none where there is none. A cluster is not asked for what this machine has."""
    return 1 if on_cluster() or HAS_GPU else 0


def training_gpus(wildcards):
    """GPUs of a training, on one node."""
    count = gpu(wildcards) * PLAN.training_processes(wildcards)
    limit = getattr(workflow.global_resources.get("gpu"), "value", None)
    if workflow.is_main_process and on_cluster() and limit is not None and limit < count:
        raise WorkflowError(
            f"gpus: {count}: profiles/default lets a job have {limit} GPU and is loaded beside --profile; name the "
            "cluster's profile with --workflow-profile, which takes its place"
        )
    return count


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
