"""Batch normalisation of (C, …) over everything but the channel, with what follows it.

    y = ReLU(γ · (x − μ) / √(σ² + ε) + β + skip)

A GPU reads x twice and writes y once, with many blocks for each channel; the running statistics move in the same pass.
Passes over (C, L) are 3 forward and 5 backward; with a skip path in front of the ReLU 4 and 7.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmcl.models import kernels

DTYPES = (torch.float32, torch.bfloat16)
LONGEST = 2**30
"""Row, whose places are counted in int32."""


def plain(x: Tensor, norm: nn.BatchNorm1d, skip: Tensor | None, relu: bool) -> Tensor:
    """The definition.

    Args:
        x: (C, …).
        norm: scale, shift and statistics of the C channels; in training its running statistics move.
        skip: what is added, of the same shape; None for nothing.
        relu: whether negative sums become zero.

    Returns:
        (C, …).
    """
    return added(nn.BatchNorm1d.forward(norm, x.reshape(1, x.shape[0], -1)).view(x.shape), skip, relu)


def added(y: Tensor, skip: Tensor | None, relu: bool) -> Tensor:
    """y + skip, or ReLU(y + skip); without a skip path y, or ReLU(y)."""
    if skip is None:
        return F.relu(y) if relu else y
    y = y + skip
    return F.relu(y, inplace=True) if relu else y


def batch_norm(x: Tensor, norm: nn.BatchNorm1d, skip: Tensor | None, relu: bool) -> Tensor:
    """`plain`, by a kernel where that is possible."""
    if not _takes(x, norm, skip, relu):
        return plain(x, norm, skip, relu)
    rows = None if skip is None else skip.reshape(len(x), -1)
    found: Tensor = BatchNorm.apply(x.reshape(len(x), -1), norm.weight, norm.bias, rows, relu, norm)
    return found.view(x.shape)


class BatchNorm(torch.autograd.Function):
    """`plain` in training, x (C, L).

    Kept for the backward pass: x, and mean and 1/σ of the channels. The sign that the ReLU had is computed again from
    x; behind a skip path it is read from y, which the next layer keeps as well.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        skip: Tensor | None,
        relu: bool,
        norm: nn.BatchNorm1d,
    ) -> Tensor:
        """x and skip (C, L), weight and bias (C) -> (C, L)."""
        from mmcl.models.kernels import triton_norm

        out, moments = triton_norm.forward(x, weight, bias, skip, relu, norm)
        ctx.relu, ctx.skip = relu, None if skip is None else skip.dtype
        ctx.save_for_backward(x, weight, bias, moments, out if relu and skip is not None else None)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight, bias and skip."""
        from mmcl.models.kernels import triton_norm

        x, weight, bias, moments, out = ctx.saved_tensors
        grad, of_x, of_weight, of_bias = triton_norm.backward(x, weight, bias, moments, out, grad, ctx.relu)
        return of_x, of_weight, of_bias, None if ctx.skip is None else grad.to(ctx.skip), None, None


def _takes(x: Tensor, norm: nn.BatchNorm1d, skip: Tensor | None, relu: bool) -> bool:
    if not (norm.training and kernels.usable(x) and x.dtype in DTYPES and 1 < x[0].numel() < LONGEST):
        return False
    if norm.momentum is None or norm.weight.dtype is not torch.float32:
        return False
    if skip is not None and (skip.dtype not in DTYPES or skip.shape != x.shape):
        return False
    kinds = (x.dtype, None if skip is None else skip.dtype, relu)
    even = x[0].numel() % 16 == 0  # then the kernel reads 16 bytes at a time
    return kernels.trusted("norm", (*kinds, even, x.device), lambda: _error(*kinds, even, x.device))


def _error(
    dtype: torch.dtype, of_skip: torch.dtype | None, relu: bool, even: bool, device: torch.device
) -> float:
    """By how much the kernel differs from `plain` in float64, as a part of what rounding permits."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    shape = (3, 4112 if even else 4099)
    x = (draw(*shape) + 2).to(dtype)
    skip = None if of_skip is None else draw(*shape).to(of_skip)
    slope = draw(*shape).to(dtype if of_skip is None else torch.promote_types(dtype, of_skip))
    norm = nn.BatchNorm1d(len(x), device=device)
    with torch.no_grad():
        norm.weight.copy_(draw(len(x)))
        norm.bias.copy_(draw(len(x)))
    exact = copy.deepcopy(norm).double()
    with torch.no_grad():  # the sign of what is next to zero is rounding's
        level = plain(x.double(), copy.deepcopy(exact), None if skip is None else skip.double(), relu=False)
        slope[level.abs() < 1e-3] = 0

    def results(norm: nn.BatchNorm1d, kernel: bool, full: torch.dtype | None) -> list[Tensor]:
        rows, more = (None if t is None else t.to(full or t.dtype).requires_grad_() for t in (x, skip))
        assert rows is not None
        arguments = (rows, norm.weight, norm.bias, more, relu, norm)
        y = BatchNorm.apply(*arguments) if kernel else plain(rows, norm, more, relu)
        wanted = [rows, norm.weight, norm.bias] + ([] if more is None else [more])
        gradients = torch.autograd.grad(y, wanted, slope.to(y.dtype))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return [y.detach(), *gradients, norm.running_mean, norm.running_var]

    found, expected = results(norm, kernel=True, full=None), results(exact, kernel=False, full=torch.float64)
    return max(kernels.apart(a, b) for a, b in zip(found, expected, strict=True))
