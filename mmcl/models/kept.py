"""What a forward pass keeps for the backward pass: most of the memory that a training needs."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def kept_for_backward(forward: Callable[[], object], own: Iterable[Tensor]) -> int:
    """Bytes of the tensors that a forward pass keeps until its backward pass.

    Tensors that share memory count once. They are held until the forward pass ends, as in a training.

    Args:
        forward: the pass, with gradients; its result is dropped.
        own: tensors that are there anyway: parameters, buffers, inputs.
    """
    there = {tensor.untyped_storage()._cdata for tensor in own}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in there:
            kept[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in kept.values())
