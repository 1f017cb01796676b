"""Size and cost of a network: parameters, multiplications to recognise one clip, memory of one in training."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmcl.models.backbone import Backbone
from mmcl.models.kept import kept_for_backward

COUNTED = "multiply-adds of matrix products and convolutions in one forward pass of one clip"


@dataclass(frozen=True)
class Part:
    """A part of a network.

    Attributes:
        name: of the module.
        parameters: learned numbers.
        macs: see COUNTED.
    """

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Description:
    """A backbone.

    Attributes:
        whole: all of it.
        parts: input_norm, each block, head and further modules; parameters of `whole` are their sum.
        feature_dim: width of its features.
        shape: of a batch of one clip, (1, C, T, V, M).
        kept: bytes that training keeps of each clip from the forward to the backward pass, in float32.
    """

    whole: Part
    parts: list[Part]
    feature_dim: int
    shape: tuple[int, ...]
    kept: int


def count_parameters(module: nn.Module | None) -> int:
    """Learned numbers of a module; 0 for None."""
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def describe(net: Backbone, shape: tuple[int, int, int]) -> Description:
    """Count a network's parameters and multiplications.

    The operations of this implementation in evaluation mode with all people present. It computes means and sums
    before the products where that gives the same, so the number may be smaller than a paper's.

    Args:
        net: the backbone.
        shape: channels, frames and joints of a clip, (C, T, V).
    """
    whole = (1, *shape, net.persons)
    training = net.training
    net.eval()
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: _in_place})
    with counter:
        net(next(net.parameters()).new_zeros(whole))
    net.train(training)
    flops = {name: sum(by_operation.values()) for name, by_operation in counter.get_flop_counts().items()}
    root = type(net).__name__

    def part(name: str, module: nn.Module, path: str) -> Part:
        return Part(name, count_parameters(module), flops.get(path, 0) // 2)

    parts = []
    for name, child in net.named_children():
        if child is net.blocks:
            parts += [part(f"{name}.{i}", b, f"{root}.{name}.{i}") for i, b in enumerate(net.blocks)]
        else:
            parts.append(part(name, child, f"{root}.{name}"))
    own = sum(parameter.numel() for parameter in net.parameters(recurse=False))
    if own:
        parts.append(Part("other", own, 0))
    total = Part(root, count_parameters(net), flops["Global"] // 2)
    return Description(total, parts, net.feature_dim, whole, _kept(net, whole))


def _kept(net: Backbone, shape: tuple[int, ...]) -> int:
    """Bytes that training keeps of each of two clips."""
    trial = copy.deepcopy(net).train()
    x = next(net.parameters()).new_zeros(2, *shape[1:])
    own = [*trial.parameters(), *trial.buffers(), x]
    with torch.random.fork_rng([]):
        return kept_for_backward(lambda: trial(x), own) // 2


def _in_place(own: Any, left: Any, right: Any, **_: Any) -> int:
    """Operations of own += left · right, which the counter does not count itself, from their shapes."""
    batch, rows, inner = left
    count: int = 2 * batch * rows * inner * right[-1]
    return count
