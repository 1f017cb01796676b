"""What all rules share: the checked configuration, what follows from it, and what wildcards may be."""

from pathlib import Path

from mmcl import paths
from mmcl.config import Config
from mmcl.device import stated_device
from mmcl.errors import UserError
from mmcl.naming import SHARD
from mmcl.plan import GPU, Plan
from mmcl.provenance import keep_records, settle
from mmcl.settings.tables import GRAPHS
from snakemake.exceptions import WorkflowError

try:
    stated_device()  # its name alone: the jobs may run on other machines
    CONFIG = Config(config)
except UserError as mistake:
    raise WorkflowError(f"configuration: {mistake}") from None

PLAN = Plan(CONFIG)

if workflow.is_main_process:
    settle(Path("results"), Path(".snakemake"))


wildcard_constraints:
    dataset="[a-z][a-z0-9_]*",
    target="[a-z][a-z0-9_]*",
    benchmark="[a-z][a-z0-9_]*",
    protocol="[a-z][a-z0-9_]*(-[0-9]+)?",
    shard=SHARD,
    question="[a-z0-9-]+",
    vlm="[a-z0-9.-]+",
    cnn="[a-z0-9._-]+",
    member=f"[a-z0-9_]+-({'|'.join(GRAPHS)})-[a-z_]+",
    settings="[0-9a-f]{8}",
    run="seed-[0-9]+(/fit)?",
    seed="[0-9]+",
    what="pretrain|student|random",
    network="detector|vlm|cnn|pose",
