"""Networks in a state that hides nothing."""

from collections.abc import Sequence

import pytest
import torch
from seeds import shifted
from torch import Tensor, nn

from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.settings.tables import BACKBONES, default_graph


def drawn_with(std: float, count: int):
    """What the standard deviation of so many normal numbers may be found to be: within five of its own deviations."""
    return pytest.approx(std, rel=5 / (2 * count) ** 0.5)


def away_from_start(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics at random, in evaluation mode; fresh ones, such as α = 0, would hide errors."""
    generator = torch.Generator().manual_seed(shifted(seed))
    for name, value in net.state_dict().items():
        last = name.rpartition(".")[2]
        if last == "running_var" or (last == "weight" and value.dim() == 1):
            sign = (
                1 if last == "running_var" else torch.randint(0, 2, value.shape, generator=generator) * 2 - 1
            )
            value.copy_(sign * (0.5 + torch.rand(value.shape, generator=generator)))
        elif last in ("graph", "importance", "topology"):
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
        elif value.is_floating_point():
            inputs = value.shape[-1] if value.dim() == 3 else value[:1].numel()
            spread = inputs**-0.5 if value.dim() > 1 else 0.3
            value.copy_(spread * torch.randn(value.shape, generator=generator))
    return net.eval()


def small(name: str, layout: str = "utd20", persons: int = 2, width: float = 0.25) -> Backbone:
    """A backbone of 5 classes, away from its start."""
    return away_from_start(build_backbone(name, 5, layout, persons, default_graph(name), width=width))


def assert_same_with_gradients(actual: Tensor, expected: Tensor, inputs: Sequence[Tensor]) -> None:
    """Values, and gradients of a random weighting of them, in float64."""
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad((actual * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7)


NAMES = list(BACKBONES)
