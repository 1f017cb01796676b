"""Batch normalisation whose result is never stored.

HD-GCN normalises a stack of L layers, its largest tensor, and then needs only its maximum over time and
the weighted sum over the layers. Both commute with the normalisation, so the stack stays as it is, and scale
and shift go to the maximum and into the weights. Activations here have shape (L, C, T, N, V): layers, channels,
frames, skeletons, joints.
"""

from typing import Any

import torch
from torch import Tensor

from mmcl.models.kernels import lazynorm as kernel
from mmcl.models.layers import ChannelNorm


class LazyNorm(ChannelNorm):
    """Batch normalisation of z + bias for z (L, C, T, N, V), with statistics for every layer and channel.

    It has two parts, before and after z is computed: z must be multiplied by `factor`, which a convolution takes
    into its weights, and `of` gives the rest of the normalisation.
    """

    def factor(self) -> Tensor:
        """(L·C): in training the sign of the scale, so that it commutes with a maximum; else all of the scale."""
        if self.training:
            return torch.where(self.weight < 0, -1.0, 1.0)
        assert self.running_var is not None
        return self.weight / (self.running_var + self.eps).sqrt()

    def of(self, z: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z, which has been multiplied by `factor`, with its scale, shift and maximum.

        Args:
            z: (L, C, T, N, V).
            bias: (L, C), what the convolution adds.

        Returns:
            z, to be used instead of what was given; scale (L, C); shift (L, C); maximum over time of
            scale · z + shift, (L, C, N, V).
        """
        shape = z.shape[:2]
        assert self.running_mean is not None
        if not self.training:
            shift = (self.bias + (bias.flatten() - self.running_mean) * self.factor()).view(shape)
            return z, torch.ones_like(shift), shift, z.amax(2) + shift[..., None, None]
        z, mean, var, peaks = (kernel.Moments if kernel.takes(z) else Moments).apply(z)
        # the bias moves the mean as well: it has no effect and a gradient of zero
        sign = self.factor().view(shape)
        mean = sign * mean + bias
        self._track(mean.detach().flatten(), var.detach().flatten(), z[0, 0].numel())
        scale = self.weight.view(shape) * (var + self.eps).rsqrt()
        shift = self.bias.view(shape) + (bias - mean) * scale
        scale = sign * scale
        return z, scale, shift, peaks * scale[..., None, None] + shift[..., None, None]

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch, as PyTorch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (count / (count - 1)), self.momentum)


class Moments(torch.autograd.Function):
    """z (L, C, T, N, V) -> z, its mean and variance (L, C) and its maximum over time (L, C, N, V).

    z is passed on, so that all its gradients arrive here and are added in one operation.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class."""
        peaks = z.amax(2)
        rows = z.flatten(2)
        mean = rows.mean(2, dtype=torch.promote_types(z.dtype, torch.float32))
        square = torch.linalg.vector_norm(rows, dim=2, dtype=mean.dtype).square() / rows.shape[2]
        ctx.save_for_backward(z, peaks, mean)
        return z, mean, (square - mean.square()).clamp_(min=0), peaks

    @staticmethod
    def backward(ctx: Any, of_z: Tensor, of_mean: Tensor, of_var: Tensor, of_peaks: Tensor) -> Tensor:
        """Gradient of z."""
        z, peaks, mean = ctx.saved_tensors
        slope = 2 * of_var / z[0, 0].numel()
        level = of_mean / z[0, 0].numel() - slope * mean
        slope, level = (part.to(z.dtype)[..., None, None, None] for part in (slope, level))
        # what is at the maximum has its gradient; where several frames are, an equal share of it
        grad = torch.eq(z, peaks[:, :, None], out=torch.empty_like(z))
        share = (of_peaks / grad.sum(2))[:, :, None]
        return torch.addcmul(level, grad, share, out=grad).addcmul_(z, slope).add_(of_z)


class WeightedSum(torch.autograd.Function):
    """Σ_l w_l z_l + b of z (L, C, T, N, V), w (L, C, N), b (C, N): (C, T, N, V). No product is kept."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
        """See the class."""
        ctx.save_for_backward(z, weights)
        return weighted_sum(z, weights, offset)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of z, the weights and the offset."""
        z, weights = ctx.saved_tensors
        of_weights = torch.stack([(grad * layer).sum(1).sum(-1) for layer in z])
        return weights[:, :, None, :, None] * grad, of_weights, grad.sum(1).sum(-1)


def learned_sum(z: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
    """`weighted_sum` with gradients."""
    found: Tensor = (kernel.WeightedSum if kernel.takes(z) else WeightedSum).apply(z, weights, offset)
    return found


def weighted_sum(z: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
    """See `WeightedSum`, whose gradients are faster."""
    out = torch.addcmul(offset[:, None, :, None], z[0], weights[0, :, None, :, None])
    return accumulate(out, z[1:], weights[1:])


def accumulate(out: Tensor, z: Tensor, weights: Tensor) -> Tensor:
    """Add Σ_l w_l z_l to `out` (C, T, N, V) in place."""
    for layer, weight in zip(z, weights[:, :, None, :, None], strict=True):
        out.addcmul_(layer, weight)
    return out
