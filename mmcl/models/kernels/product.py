"""1×1 convolutions as matrix products, with a weight gradient that fills a GPU.

    y = W x + b,   ∂W = Σ_l g_l x_lᵀ,   ∂b = Σ_l g_l

∂W has few numbers, each a sum over hundreds of thousands of columns l: one product for each of many parts of the
columns gives every multiprocessor something to do. No Triton is needed: the parts are strided views, which a batched
product takes as they are.
"""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmcl.models import kernels

TILE = 128
"""Rows and columns of a result that one multiprocessor computes, about."""
ROUNDS = 2
"""How many of these each multiprocessor gets."""
SHORTEST = 1024
"""Part, in columns: a shorter one would spend its time on writing its sum."""
ALIGNED = 8
"""Parts begin at a multiple of this many numbers: 16 bytes in bfloat16."""


def plain(x: Tensor, weight: Tensor, bias: Tensor | None, last: bool) -> Tensor:
    """The definition, see `product`."""
    if x.dim() == 3:
        return torch.bmm(x, weight.mT) if last else torch.bmm(weight, x)
    if last:
        return F.linear(x, weight, bias)
    return weight @ x if bias is None else torch.addmm(bias[:, None], weight, x)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, last: bool = False) -> Tensor:
    """W x + b for every column of x.

    Args:
        x: (C, L); or (P, C, L) for P products.
        weight: W (O, C); or (P, O, C).
        bias: b (O); None for zeros, as it must be for several products.
        last: whether channels come last: x is (L, C) or (P, L, C) then.

    Returns:
        (O, L) or (P, O, L); channels last if they are so in x.
    """
    if not (torch.is_grad_enabled() and weight.requires_grad and kernels.usable(x)):
        return plain(x, weight, bias, last)
    dtype = kernels.product_dtype(x)
    if x.dtype is torch.float64 or not kernels.trusted(
        "product", (dtype, x.device), lambda: _error(dtype, x.device)
    ):
        return plain(x, weight, bias, last)
    found: Tensor = Product.apply(x.to(dtype), weight, bias, last)
    return found


class Product(torch.autograd.Function):
    """`plain` in the data type of x, as under autocast. ∂W and ∂b are summed in float32 and not rounded afterwards.

    Kept for the backward pass: x, and the weight in the data type of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, last: bool) -> Tensor:
        """See `product`."""
        ctx.last, ctx.of_weight, ctx.of_bias = last, weight.dtype, None if bias is None else bias.dtype
        weight = weight.to(x.dtype)
        ctx.save_for_backward(x, weight)
        return plain(x, weight, None if bias is None else bias.to(x.dtype), last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        """Gradients of x, weight and bias."""
        x, weight = ctx.saved_tensors
        of_x = plain(grad, weight.mT, None, ctx.last) if ctx.needs_input_grad[0] else None
        of_bias = None
        if ctx.of_bias is not None:
            of_bias = grad.sum(0 if ctx.last else 1, dtype=torch.float32).to(ctx.of_bias)
        if ctx.last:
            x, grad = x.mT, grad.mT
        if x.dim() == 2:
            of_weight = over_columns(grad, x)
        else:
            of_weight = torch.stack([over_columns(a, b) for a, b in zip(grad, x, strict=True)])
        return of_x, of_weight.to(ctx.of_weight), of_bias, None


def over_columns(a: Tensor, b: Tensor) -> Tensor:
    """a bᵀ for a (O, L) and b (C, L): (O, C) float32."""
    a, b = (part if 1 in part.stride() else part.contiguous() for part in (a, b))
    length = a.shape[1]
    count, size = parts(len(a), len(b), length, _multiprocessors(a.device))
    cut = count * size
    sums = _in_full(a[:, :cut], b[:, :cut], count)
    found = sums.sum(0) if count > 1 else sums[0]
    return found if cut == length else found + _in_full(a[:, cut:], b[:, cut:], 1)[0]


@functools.cache
def parts(rows: int, columns: int, length: int, multiprocessors: int) -> tuple[int, int]:
    """How many parts of the sum over `length` a result of rows × columns is made of, and what each takes.

    What they leave over is less than one of them. A number of parts without a remainder is looked for first.
    """
    tiles = -(-rows // TILE) * -(-columns // TILE)
    most = max(1, length // SHORTEST)
    count = min(most, max(1, ROUNDS * multiprocessors // tiles))
    near = sorted(range(-(-count // 2), min(most, 2 * count) + 1), key=lambda other: abs(other - count))
    even = next((other for other in near if length % (other * ALIGNED) == 0), None)
    if even is not None:
        return even, length // even
    return (count, length // count // ALIGNED * ALIGNED) if count > 1 else (1, length)


def _in_full(a: Tensor, b: Tensor, count: int) -> Tensor:
    """a bᵀ of equal parts, a (O, L) and b (C, L): (count, O, C) float32."""
    a = a.unflatten(1, (count, -1)).transpose(0, 1)
    b = b.unflatten(1, (count, -1)).permute(1, 2, 0)
    if a.is_cuda and a.dtype is not torch.float32:
        return torch.bmm(a, b, torch.float32)
    return torch.bmm(a.float(), b.float())


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4


def _error(dtype: torch.dtype, device: torch.device) -> float:
    """By how much `Product` differs from `plain` in float64, as a part of what rounding permits."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    x, slope = draw(16, 5000).to(dtype), draw(24, 5000).to(dtype)
    weight, bias = (draw(*shape).to(dtype).float() for shape in ((24, 16), (24,)))

    def results(kernel: bool, full: torch.dtype | None) -> list[Tensor]:
        a, w, b = (part.to(full or part.dtype).requires_grad_() for part in (x, weight, bias))
        y = Product.apply(a, w, b, False) if kernel else plain(a, w, b, last=False)
        return [y.detach(), *torch.autograd.grad(y, (a, w, b), slope.to(y.dtype))]

    found, expected = results(kernel=True, full=None), results(kernel=False, full=torch.float64)
    # sums of thousands of products, in tensor cores: three digits tell right from wrong
    units = [2.0**13 if part.dtype is torch.float32 else 4 for part in found]
    return max(kernels.apart(*three) for three in zip(found, expected, units, strict=True))
