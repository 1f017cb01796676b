"""Convolution over time of few channels.

    y[:, l, t] = b + Σ_k W_k x[:, l, s·t + k − K/2]

cuDNN changes the memory order of its argument, result and gradients, and works as fast as memory allows in the order
that it likes. Up to 64 channels a product takes less time than such a change, so the kernels read (C, L, T) as it is.
With more channels cuDNN's products are faster, and it computes them.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmcl.models import kernels

SIDES = (16, 32, 64)
"""Channels that the kernels take: sides of a product on tensor cores, weights that fit on chip."""

Error = Callable[[torch.dtype, torch.device, int, int, bool], float]
"""By how much a kernel differs from its plain form in float64, as a part of what rounding permits.

For a data type, device, number of channels, stride, and whether rows and results are aligned.
"""


def plain(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """The definition.

    Args:
        x: (C, L, T).
        weight: W (C, C, 1, K), K odd.
        bias: b (C).
        stride: s, keep every s-th frame.

    Returns:
        (C, L, ⌈T/stride⌉).
    """
    return F.conv2d(x, weight, bias, (1, stride), (0, weight.shape[3] // 2))


def frame_conv(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """`plain`, by a kernel where that is possible."""
    dtype, window = kernels.product_dtype(x), weight.shape[3]
    error = functools.partial(_error, window=window)
    if not takes(x, dtype, len(weight), stride, f"convolution over {window} frames", error):
        return plain(x, weight, bias, stride)
    found: Tensor = FrameProduct.apply(x.to(dtype), weight, bias, stride)
    return found


class FrameProduct(torch.autograd.Function):
    """`plain` in the data type of x. Kept for the backward pass: x and the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        """See `plain`."""
        from mmcl.models.kernels import triton_frames

        ctx.stride, ctx.of_bias = stride, bias.dtype
        ctx.save_for_backward(x, weight)
        return triton_frames.forward(x, weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        from mmcl.models.kernels import triton_frames

        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = triton_frames.backward(grad, x, weight, ctx.stride)
        return of_x, of_weight.to(weight.dtype), of_bias.to(ctx.of_bias), None


def takes(x: Tensor, dtype: torch.dtype, channels: int, stride: int, kernel: str, error: Error) -> bool:
    """Whether a kernel takes an x (…, T) in this data type, and has passed its check.

    Args:
        x: a tensor of such a shape and on such a device.
        dtype: of the product.
        channels: of the convolution.
        stride: s.
        kernel: its name.
        error: see `Error`.
    """
    columns = x[0].numel()
    if not kernels.usable(x) or channels not in SIDES or stride not in (1, 2):
        return False
    if dtype not in (torch.float32, torch.bfloat16) or not kernels.tensor_cores(dtype):
        return False
    if not 0 < columns < 2**31 // channels:  # places are counted with 32 bits
        return False
    aligned = is_aligned(columns, columns // x.shape[-1] * -(-x.shape[-1] // stride))
    form = (dtype, x.device, channels, stride, aligned)
    return kernels.trusted(kernel, form, lambda: error(*form))


def is_aligned(*columns: int) -> bool:
    """Whether kernels may read 16 numbers at a time."""
    return all(count % 16 == 0 for count in columns)


def largest_error(dtype: torch.dtype, found: list[Tensor], expected: list[Tensor]) -> float:
    """See `kernels.apart`: of results of products whose factors are rounded, to TF32 where `dtype` is float32."""
    unit = 2**-10 if dtype is torch.float32 else 2**-7  # of the factors
    return max(
        kernels.apart(a, b, 4 * unit / torch.finfo(a.dtype).eps) for a, b in zip(found, expected, strict=True)
    )


def _error(
    dtype: torch.dtype, device: torch.device, channels: int, stride: int, aligned: bool, window: int
) -> float:
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    rows, frames = (32, 13) if aligned else (33, 13)
    x, slope = (draw(channels, rows, t).to(dtype) for t in (frames, -(-frames // stride)))
    weight, bias = draw(channels, channels, 1, window) * (window * channels) ** -0.5, draw(channels)

    def results(form: Callable[..., Tensor], full: torch.dtype | None) -> list[Tensor]:
        a, w, b = (part.to(full or part.dtype).requires_grad_() for part in (x, weight, bias))
        y = form(a, w, b, stride)
        return [y.detach(), *torch.autograd.grad(y, (a, w, b), slope.to(y.dtype))]

    return largest_error(dtype, results(FrameProduct.apply, None), results(plain, torch.float64))
