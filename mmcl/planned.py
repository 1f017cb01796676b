"""A job of a workflow belongs to a run: it has the configuration that the run was planned with, or does nothing.

A job of a cluster reads the configuration anew when it starts. Snakemake records the settings that the main process has
read. Were the file edited in between, the result would be of other settings than its record says. So the main process
puts digests of its configuration into the environment, which jobs inherit. Standard library only.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from mmcl.errors import UserError
from mmcl.stages import VERSIONS

VARIABLE = "MMCL_PLANNED"
"""Environment variable of a run's jobs: top-level key of the configuration → 8 hex digits of its content's sha256."""
TENSORBOARD = "MMCL_TENSORBOARD"
"""Environment variable: `on` has trainings write event files."""
PACKAGE = "mmcl/stages.py"
"""Stands for the versions of the stages among the keys."""


def announce(config: Mapping[str, Any]) -> None:
    """Let the jobs of this run know the configuration it is planned with; called by the main process."""
    os.environ[VARIABLE] = json.dumps(_digests(config))


def want_event_files() -> None:
    """Let the jobs of this run write event files; no params, which would make results anew."""
    os.environ[TENSORBOARD] = "on"


def check(config: Mapping[str, Any]) -> None:
    """Whether a job has read the configuration of its run.

    Raises:
        UserError: it was edited since the run was started.
    """
    if not in_workflow():
        return
    planned, own = json.loads(os.environ[VARIABLE]), _digests(config)
    if changed := sorted(key for key in planned.keys() | own.keys() if planned.get(key) != own.get(key)):
        raise UserError(
            f"changed since this run was started: {', '.join(changed)}; this job would use other settings than were "
            "planned, so it does nothing: when the run has ended, start it again"
        )


def in_workflow() -> bool:
    """Whether this process is a job of a run, whose main process records its result."""
    return VARIABLE in os.environ


def _digests(config: Mapping[str, Any]) -> dict[str, str]:
    return {key: _digest(value) for key, value in {**config, PACKAGE: VERSIONS}.items()}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
