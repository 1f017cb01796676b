"""What `mmcl.models.lazynorm` does with its stack of layers z (L, C, T, N, V), read once where it is computed.

mean, variance and maximum over T of z;   Σ_l w_l z_l + b
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmcl.models import kernels
from mmcl.models.kernels.norm import DTYPES, LONGEST

MOST_COLUMNS = 2**17
"""People times joints: more would need more chunks than are joined."""


def takes(z: Tensor) -> bool:
    """Whether z (L, C, T, N, V) is something for the kernels."""
    if not (kernels.usable(z) and z.dtype in DTYPES and z.is_contiguous()):
        return False
    if z[0, 0].numel() > LONGEST or z.shape[3] * z.shape[4] > MOST_COLUMNS:
        return False
    even = z.shape[3] * z.shape[4] % 16 == 0  # then the kernels read several numbers at a time
    return kernels.trusted("lazynorm", (z.dtype, even, z.device), lambda: _error(z.dtype, even, z.device))


def plain_moments(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The definition: z, its mean and variance (L, C), and its maximum over time (L, C, N, V)."""
    variance, mean = torch.var_mean(z.flatten(2), dim=2, correction=0)
    return z, mean, variance, z.amax(2)


def plain_sum(z: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
    """The definition: z (L, C, T, N, V), weights (L, C, N), offset (C, N) -> (C, T, N, V)."""
    return (weights[:, :, None, :, None] * z).sum(0) + offset[:, None, :, None]


class Moments(torch.autograd.Function):
    """`plain_moments`. z is passed on, so that all its gradients arrive here and are added in one operation.

    Kept for the backward pass: z, its maximum, how many frames have it, and its mean.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `plain_moments`."""
        from mmcl.models.kernels import triton_lazynorm

        layers, channels, _, count, joints = z.shape
        peaks, ties, mean, variance = triton_lazynorm.moments(_rows(z))
        ctx.save_for_backward(z, peaks, ties, mean)
        shape = (layers, channels)
        return z, mean.view(shape), variance.view(shape), peaks.view(*shape, count, joints)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_z: Tensor, of_mean: Tensor, of_var: Tensor, of_peaks: Tensor) -> Tensor:
        """Gradient of z."""
        from mmcl.models.kernels import triton_lazynorm

        z, peaks, ties, mean = ctx.saved_tensors
        grads = of_peaks.reshape(peaks.shape).contiguous(), of_mean.flatten(), of_var.flatten()
        found = triton_lazynorm.moments_gradient(
            _rows(z), _rows(of_z.contiguous()), peaks, grads[0], ties, mean, *grads[1:]
        )
        return found.view(z.shape)


class WeightedSum(torch.autograd.Function):
    """`plain_sum`. Kept for the backward pass: z and the weights."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
        """See `plain_sum`."""
        from mmcl.models.kernels import triton_lazynorm

        weights = weights.contiguous()
        ctx.save_for_backward(z, weights)
        out = triton_lazynorm.weighted_sum(z.flatten(3), weights, offset.contiguous(), z.shape[4])
        return out.view(z.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of z, the weights and the offset."""
        from mmcl.models.kernels import triton_lazynorm

        z, weights = ctx.saved_tensors
        joints = z.shape[4]
        grads = triton_lazynorm.weighted_sum_gradient(z.flatten(3), weights, grad.contiguous(), joints)
        of_weights, of_offset = (
            part.unflatten(-1, (-1, joints)).sum(-1).to(weights.dtype) for part in grads[1:]
        )
        return grads[0].view(z.shape), of_weights, of_offset


def _rows(z: Tensor) -> Tensor:
    """(L, C, T, N, V) -> (L·C, T, N·V)."""
    return z.flatten(0, 1).flatten(2)


def _error(dtype: torch.dtype, even: bool, device: torch.device) -> float:
    """By how much the kernels differ from their plain forms in float64, as a part of what rounding permits."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    shape = (2, 3, 13, 16 if even else 15, 25)
    parts = draw(*shape), draw(2, 3, shape[3]), draw(3, shape[3])
    slopes = draw(*shape[1:]), draw(2, 3), draw(2, 3), draw(2, 3, *shape[3:])

    def results(kernel: bool, full: torch.dtype | None) -> list[Tensor]:
        z, weights, offset = (part.to(full or dtype).requires_grad_() for part in parts)
        passed, *found = Moments.apply(z) if kernel else plain_moments(z)
        mixed = (WeightedSum.apply if kernel else plain_sum)(passed, weights, offset)
        outputs = [mixed, *found]
        grads = [slope.to(output.dtype) for slope, output in zip(slopes, outputs, strict=True)]
        gradients = torch.autograd.grad(outputs, [z, weights, offset], grads)
        return [*(part.detach() for part in outputs), *gradients]

    found, expected = results(kernel=True, full=None), results(kernel=False, full=torch.float64)
    return max(kernels.apart(a, b) for a, b in zip(found, expected, strict=True))
