"""Proof that a step can be captured as a CUDA graph: it runs on tensors that have shapes and no values."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class OnMeta(TorchDispatchMode):
    """Operations on device `meta` alone.

    What reads a value (`.item()`, boolean selection, a size that depends on values) fails there by itself. A tensor on
    the CPU, or one made of Python numbers, would be a copy from the CPU, which a capture does not permit.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.lift_fresh.default:
            raise AssertionError("a tensor is made of Python numbers")
        for one in tree_leaves((args, kwargs, found)):
            if isinstance(one, Tensor) and one.device.type != "meta":
                raise AssertionError(f"{func} takes or gives a tensor on the {one.device}")
        return found
