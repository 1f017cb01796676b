"""Small tensors that are made once for each device: a step that is a CUDA graph can copy nothing from the CPU."""

from functools import cache

import torch
from torch import Tensor


@cache
def whole_numbers(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Whole numbers as a tensor (len(values)) int64, which nobody may change."""
    with torch.inference_mode(False):  # else it could take no part in what gradients are computed of
        return torch.tensor(values, dtype=torch.int64, device=device)
