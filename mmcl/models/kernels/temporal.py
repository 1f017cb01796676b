"""The branches of a multi-scale temporal convolution, with the norm in front of them.

    z = ReLU(BN(r)) of the first three quarters of r's channels
    y = [b₀ + Σ_k W₀ₖ z₀[s·t + k − 2]; b₁ + Σ_k W₁ₖ z₁[s·t + 2(k − 2)]; max_{|k| ≤ 1} z₂[s·t + k]; r₃[s·t]],   k = 0…4

On a GPU the product that makes r is followed by two kernels: one reads r for the statistics, one reads it again and
writes y. z is never stored.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmcl.models import kernels
from mmcl.models.kernels.frames import largest_error, takes
from mmcl.models.kernels.norm import plain as plain_norm

Convs = Sequence[Tensor]
"""Weight (Q, Q, 1, 5) and bias (Q) of the first convolution, then of the dilated one."""


def plain(moving: Tensor, still: Tensor, convs: Convs, stride: int) -> Tensor:
    """The definition, behind norm and ReLU.

    Args:
        moving: z of the three branches with a window, (3Q, L, T).
        still: the fourth branch at the frames that stay, (Q, L, ⌈T/stride⌉).
        convs: weights and biases.
        stride: s, keep every s-th frame.

    Returns:
        (4Q, L, ⌈T/stride⌉).
    """
    first, second, pooled = moving.chunk(3)
    branches = [
        F.conv2d(first, convs[0], convs[1], (1, stride), (0, 2)),
        F.conv2d(second, convs[2], convs[3], (1, stride), (0, 4), (1, 2)),
        F.max_pool1d(pooled, 3, stride, 1),
        still,
    ]
    return torch.cat(branches)


def trained(x: Tensor, channels: int, norm: nn.BatchNorm1d, stride: int) -> bool:
    """Whether `Branches` takes the product of x (C, N, V, T) with weights for `channels` channels."""
    ready = norm.training and norm.momentum is not None and norm.weight.dtype is torch.float32
    return (
        ready
        and x[0].numel() > 1
        and takes(x, kernels.product_dtype(x), channels // 4, stride, "temporal", _error)
    )


def inferred(x: Tensor, channels: int, stride: int) -> bool:
    """Whether `folded` takes the product of x (C, N, V, T) with weights for `channels` channels."""
    return not torch.is_grad_enabled() and takes(
        x, kernels.product_dtype(x), channels // 4, stride, "temporal, folded", _folded_error
    )


def folded(
    r: Tensor, convs: Convs, peaks: tuple[Tensor, Tensor], stride: int, skip: Tensor | None, relu: bool
) -> Tensor:
    """The branches where all norms are in the weights, by a kernel.

    Args:
        r: (4Q, L, T).
        convs: weights and biases.
        peaks: scale and shift of the maximum, (Q) each.
        stride: s.
        skip: what is added, (4Q, L, ⌈T/stride⌉); None for nothing.
        relu: whether negative sums become zero.

    Returns:
        (4Q, L, ⌈T/stride⌉).
    """
    from mmcl.models.kernels import triton_temporal

    return triton_temporal.forward(r, None, convs, stride, peaks, skip, relu)


class Branches(torch.autograd.Function):
    """BN, ReLU and `plain` in training.

    Kept for the backward pass: r, mean and 1/σ of the channels, and the parameters.
    """

    @staticmethod
    def forward(
        ctx: Any,
        r: Tensor,
        gamma: Tensor,
        beta: Tensor,
        weight_0: Tensor,
        bias_0: Tensor,
        weight_1: Tensor,
        bias_1: Tensor,
        norm: nn.BatchNorm1d,
        stride: int,
    ) -> Tensor:
        """r (4Q, L, T), gamma and beta (3Q) of `norm`, whose running statistics move -> (4Q, L, ⌈T/stride⌉)."""
        from mmcl.models.kernels import triton_norm, triton_temporal

        convs = weight_0, bias_0, weight_1, bias_1
        moments = triton_norm.statistics(r[: len(gamma)].flatten(1), norm)
        ctx.stride = stride
        ctx.save_for_backward(r, gamma, beta, moments, *convs)
        return triton_temporal.forward(r, (moments, gamma, beta), convs, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of r, of the norm's parameters, and of weights and biases."""
        from mmcl.models.kernels import triton_temporal

        r, gamma, beta, moments, *convs = ctx.saved_tensors
        gradients = triton_temporal.backward(grad, r, (moments, gamma, beta), convs, ctx.stride)
        return *gradients, None, None


def _example(
    dtype: torch.dtype, device: torch.device, quarter: int, stride: int, aligned: bool
) -> tuple[Tensor, Tensor, nn.BatchNorm1d, list[Tensor]]:
    """r, gradient of y, a norm, and weights and biases."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    rows, frames = (32, 13) if aligned else (33, 13)
    # whole numbers: what differs, differs by more than rounding, so that the place of a maximum is certain
    r = torch.randint(-64, 64, (4 * quarter, rows, frames), generator=generator, device=device)
    slope = draw(4 * quarter, rows, -(-frames // stride))
    norm = nn.BatchNorm1d(3 * quarter, device=device)
    with torch.no_grad():
        norm.weight.copy_(1 + 0.1 * draw(3 * quarter))
        norm.bias.copy_(0.1 * draw(3 * quarter))
    spread = (5 * quarter) ** -0.5
    shapes = [(quarter, quarter, 1, 5), (quarter,)] * 2
    return r.to(dtype), slope.to(dtype), norm, [spread * draw(*shape) for shape in shapes]


def _error(dtype: torch.dtype, device: torch.device, quarter: int, stride: int, aligned: bool) -> float:
    """By how much `Branches` differs from its plain form in float64, as a part of what rounding permits."""
    r, slope, norm, convs = _example(dtype, device, quarter, stride, aligned)
    exact = copy.deepcopy(norm).double()

    def results(norm: nn.BatchNorm1d, full: torch.dtype | None) -> list[Tensor]:
        x = r.to(full or dtype).requires_grad_()
        weights = [t.to(full or t.dtype).requires_grad_() for t in convs]
        if full is None:
            y = Branches.apply(x, norm.weight, norm.bias, *weights, norm, stride)
        else:
            moving = plain_norm(x[: 3 * quarter], norm, None, relu=True)
            y = plain(moving, x[3 * quarter :, :, ::stride], weights, stride)
        gradients = torch.autograd.grad(y, [x, norm.weight, norm.bias, *weights], slope.to(y.dtype))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return [y.detach(), *gradients, norm.running_mean, norm.running_var]

    return largest_error(dtype, results(norm, full=None), results(exact, full=torch.float64))


def _folded_error(
    dtype: torch.dtype, device: torch.device, quarter: int, stride: int, aligned: bool
) -> float:
    """The same of `folded`."""
    r, skip, norm, convs = _example(dtype, device, quarter, stride, aligned)
    r = r / 32
    scale, shift = norm.weight.detach()[:quarter], norm.bias.detach()[:quarter]
    found = folded(r, convs, (scale, shift), stride, skip, relu=True)
    exact = r.double()
    y = plain(
        exact[: 3 * quarter].relu(),
        exact[3 * quarter :, :, ::stride],
        [t.double() for t in convs],
        stride,
    )
    y[2 * quarter : 3 * quarter] *= scale.double()[:, None, None]
    y[2 * quarter : 3 * quarter] += shift.double()[:, None, None]
    return largest_error(dtype, [found], [(y + skip.double()).relu()])
