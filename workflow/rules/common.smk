"""What all rules share: the checked configuration, what follows from it, and what wildcards may be."""

from mmcl.config import Config
from mmcl.errors import UserError
from mmcl.naming import SHARD
from mmcl.plan import GPU, Plan
from snakemake.exceptions import WorkflowError

try:
    CONFIG = Config(config)
except UserError as mistake:
    raise WorkflowError(f"configuration: {mistake}") from None

PLAN = Plan(CONFIG)


wildcard_constraints:
    dataset="[a-z][a-z0-9_]*",
    target="[a-z][a-z0-9_]*",
    benchmark="[a-z][a-z0-9_]*",
    shard=SHARD,
    question="[a-z0-9-]+",
    vlm="[a-z0-9.-]+",
    cnn="[a-z0-9._-]+",
    backbone="[a-z0-9]+",
    graph="natural|hd1|hd2|hd21",
    stream="[a-z_]+",
    run="seed-[0-9]+(/fit)?",
    seed="[0-9]+",
    what="pretrain|student|random",
