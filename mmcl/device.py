"""The torch device of a process."""

import functools
import logging
import os
import re
import socket
from typing import TYPE_CHECKING

from mmcl.errors import UserError, shown

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

VARIABLE = "MMCL_DEVICE"
ALIASES = {"gpu": "cuda"}
NAME = re.compile(r"cpu|mps|cuda(:[0-9]{1,2})?")
INSTEAD = f"unset {VARIABLE}, or set it to cpu"
GIVEN = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
"""Environment variables by which a scheduler, or a user, says which GPUs a process has."""
NONE_GIVEN = ("", "-1", "NoDevFiles")
"""What they hold where it has none."""


def stated_device() -> str | None:
    """The device that `MMCL_DEVICE` names, None without: `cpu`, `mps`, `cuda` or `cuda:N`; `gpu` and `N` are read as
    the last two.

    Whether this machine has it is not looked at, as the jobs may run on another.

    Raises:
        UserError: it names no such device.
    """
    stated = os.environ.get(VARIABLE, "").strip()
    if not stated:
        return None
    name = ALIASES.get(stated.lower(), stated.lower())
    name = f"cuda:{name}" if name.isdecimal() else name
    if not NAME.fullmatch(name):
        raise UserError(
            f"{VARIABLE}: {shown(stated)} is no device; it may be cpu, cuda, or cuda:N for the GPU of number N, "
            "counted from 0"
        )
    return name


def pick_device() -> "torch.device":
    """The device of this process: `MMCL_DEVICE` if set, else CUDA if there is one, else the CPU.

    The device is no setting of the experiment: it never enters a rule's params. The first call logs it.

    Raises:
        UserError: `MMCL_DEVICE` names no device, or one that this machine lacks; or it is not set, and this process was
            given a GPU that torch cannot use.
    """
    device = _pick()
    _log(str(device))
    return device


@functools.cache
def _log(device: str) -> None:
    import torch

    name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
    job = os.environ.get("SLURM_JOB_ID")
    where = f", Slurm job {job} on {socket.gethostname()}" if job else ""
    given = os.environ.get(GIVEN[0])
    log.info("device: %s%s%s%s", device, name, where, f", {GIVEN[0]}={given}" if given else "")


def _pick() -> "torch.device":
    name = stated_device()
    import torch

    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        given = [variable for variable in GIVEN if os.environ.get(variable, "").strip() not in NONE_GIVEN]
        if given:
            raise UserError(
                f"this job was given a GPU ({given[0]}={os.environ[given[0]]}), but {_why()}; "
                f"mend that, or set {VARIABLE}=cpu to work on the CPU"
            )
        return torch.device("cpu")
    device = torch.device(name)
    stated = f"{VARIABLE}={os.environ[VARIABLE].strip()}"
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"{stated}: there is no such GPU here; {INSTEAD}")
    if device.type == "cuda":
        _check_cuda(device, stated)
    return device


def _check_cuda(device: "torch.device", stated: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise UserError(f"{stated}: there is no CUDA GPU here, {_why()}; {INSTEAD}")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        there = "cuda:0 alone" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise UserError(f"{stated}: this process sees {there}")


def _why() -> str:
    """Why torch has no CUDA GPU."""
    import torch

    if torch.version.cuda:
        return f"torch {torch.__version__} sees no GPU (driver, or CUDA_VISIBLE_DEVICES)"
    return f"torch {torch.__version__} is built without CUDA"
