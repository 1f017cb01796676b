"""The sums over memory that contrastive losses divide by, without arrays of the logits that they are sums of.

A loss with context compares every anchor with K keys by the similarities of each pair of modalities: 15 products of
(B, K) for six modalities. Kept for the gradient, they are most of the memory of a training. Here only the
similarities themselves are kept; the products are computed again in the backward pass, a few anchors at a time, so
that they stay in a processor's cache.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mmcl.models import kernels

CACHED = 2**17
"""Numbers of one product that a CPU computes at a time. A GPU computes all at once."""

Pairs = Sequence[tuple[int, int]]


def log_sums(
    a: Tensor, b: Tensor | None = None, pairs: Pairs = (), scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """log Σ_k exp a_ik for every i, and log Σ_k exp(scale · a_ik b_jk) for pairs (i, j).

    Args:
        a: (U, B, K).
        b: (S, B, K), without gradient; None for `a` itself, which then gets both gradients.
        pairs: P pairs of rows of a and b.
        scale: of the products.

    Returns:
        (U, B) and (P, B).
    """
    own: Tensor
    products: Tensor
    own, products = _LogSums.apply(a, None if b is None else b.detach(), tuple(pairs), scale)
    return own, products


class _LogSums(torch.autograd.Function):
    """See `log_sums`. Kept for the backward pass: a, b and the sums."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor | None, pairs: Pairs, scale: float) -> tuple[Tensor, Tensor]:
        ctx.pairs, ctx.scale, ctx.kernel = pairs, scale, _takes(a, b)
        if ctx.kernel:
            from mmcl.models.kernels import triton_sums

            a, b = a.contiguous(), None if b is None else b.contiguous()
            sums = triton_sums.forward(a, a if b is None else b, pairs, scale)
            own, products = sums[: len(a)], sums[len(a) :]
        else:
            own, products = _plain(a, a if b is None else b, pairs, scale)
        ctx.save_for_backward(a, b, own, products)
        return own, products

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        a, b, own, products = ctx.saved_tensors
        if ctx.kernel:
            from mmcl.models.kernels import triton_sums

            parts = (torch.cat([own, products]), torch.cat(gradients))
            other = a if b is None else b
            return triton_sums.backward(a, other, b is None, ctx.pairs, ctx.scale, *parts), None, None, None
        return _plain_gradient(a, b, ctx.pairs, ctx.scale, own, products, *gradients), None, None, None


def _plain(a: Tensor, other: Tensor, pairs: Pairs, scale: float) -> tuple[Tensor, Tensor]:
    own, products = a.new_empty(a.shape[:2]), a.new_empty(len(pairs), a.shape[1])
    for part in _anchors(a):
        buffer = torch.empty_like(a[0, part])
        for i in range(len(a)):
            own[i, part] = _log_sum(buffer.copy_(a[i, part]))
        for p, (i, j) in enumerate(pairs):
            torch.mul(a[i, part], other[j, part], out=buffer)
            products[p, part] = _log_sum(buffer.mul_(scale))
    return own, products


def _plain_gradient(
    a: Tensor,
    b: Tensor | None,
    pairs: Pairs,
    scale: float,
    own: Tensor,
    products: Tensor,
    to_own: Tensor,
    to_products: Tensor,
) -> Tensor:
    other = a if b is None else b
    to_products = to_products * scale
    result = torch.empty_like(a)
    for part in _anchors(a):
        buffer = torch.empty_like(a[0, part])
        for i in range(len(a)):
            torch.sub(a[i, part], own[i, part, None], out=result[i, part])
            result[i, part].exp_().mul_(to_own[i, part, None])
        for p, (i, j) in enumerate(pairs):
            # d/da_k log Σ exp(s a_k b_k) = exp(s a_k b_k − log Σ …) · s b_k
            torch.mul(a[i, part], other[j, part], out=buffer)
            buffer.mul_(scale).sub_(products[p, part, None]).exp_().mul_(to_products[p, part, None])
            result[i, part].addcmul_(buffer, other[j, part])
            if b is None:
                result[j, part].addcmul_(buffer, a[i, part])
    return result


def _takes(a: Tensor, b: Tensor | None) -> bool:
    """Whether the kernels take these similarities."""
    if not kernels.usable(a) or any(one is not None and one.dtype is not torch.float32 for one in (a, b)):
        return False
    if not (0 < a.shape[1] < 2**16 and 0 < a.shape[2] < 2**31 - 2**16):
        return False
    alone = b is None
    return kernels.trusted("sums over memory", (alone, a.device), lambda: _error(alone, a.device))


def _error(alone: bool, device: torch.device) -> float:
    """By how much the kernels differ from the plain form in float64, as a part of what rounding permits."""
    from mmcl.models.kernels import triton_sums

    generator = torch.Generator(device).manual_seed(0)
    a, b = torch.randn(2, 3, 4, 4099, generator=generator, device=device)
    slope = torch.rand(5, 4, generator=generator, device=device)
    pairs, scale = [(0, 1), (1, 2)], 0.5
    other = a if alone else b
    sums = triton_sums.forward(a, other, pairs, scale)
    gradient = triton_sums.backward(a, other, alone, pairs, scale, sums, slope)
    exact = _plain(a.double(), other.double(), pairs, scale)
    expected = _plain_gradient(
        a.double(), None if alone else b.double(), pairs, scale, *exact, *slope.double().split([3, 2])
    )
    return max(kernels.apart(sums, torch.cat(exact)), kernels.apart(gradient, expected))


def _anchors(a: Tensor) -> Iterator[slice]:
    """Parts of the B anchors of (U, B, K)."""
    count, keys = a.shape[1:]
    size = max(1, CACHED // keys) if a.device.type == "cpu" else count
    return (slice(first, first + size) for first in range(0, count, size))


def _log_sum(logits: Tensor) -> Tensor:
    """log Σ_k exp of (B, K), which is overwritten: (B)."""
    largest = logits.amax(1, keepdim=True)
    return logits.sub_(largest).exp_().sum(1).log_().add_(largest[:, 0])
