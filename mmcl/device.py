"""The torch device of a process."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device() -> "torch.device":
    """The device of this process: `MMCL_DEVICE` if set, else CUDA if there is one, else the CPU.

    The device is no setting of the experiment: it never enters a rule's params.
    """
    import torch

    return torch.device(os.environ.get("MMCL_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
