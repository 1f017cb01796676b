"""The torch device of a process."""

import os
import re
from typing import TYPE_CHECKING

from mmcl.errors import UserError, shown

if TYPE_CHECKING:
    import torch

VARIABLE = "MMCL_DEVICE"
ALIASES = {"gpu": "cuda"}
NAME = re.compile(r"cpu|mps|cuda(:[0-9]{1,2})?")
INSTEAD = f"unset {VARIABLE}, or set it to cpu"


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

    The device is no setting of the experiment: it never enters a rule's params.

    Raises:
        UserError: `MMCL_DEVICE` names no device, or one that this machine lacks.
    """
    name = stated_device()
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
        why = (
            f"torch {torch.__version__} sees no GPU (driver, or CUDA_VISIBLE_DEVICES)"
            if torch.version.cuda
            else f"torch {torch.__version__} is built without CUDA"
        )
        raise UserError(f"{stated}: there is no CUDA GPU here, {why}; {INSTEAD}")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        there = "cuda:0 alone" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise UserError(f"{stated}: this process sees {there}")
