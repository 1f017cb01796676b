"""The kernels of `mmcl.models.kernels.temporal`.

Columns are (row, frame) pairs, flattened: a row of T frames follows the other, and a window of frames is a shift of
the column, with a mask at the ends of each row. A program works on one branch, a quarter of the channels, and on one
or many tiles of columns, all channels of the branch at once.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmcl.models.kernels import triton_norm
from mmcl.models.kernels.frames import is_aligned
from mmcl.models.kernels.temporal import Convs
from mmcl.models.kernels.triton_frames import (
    BACKWARD_TILES,
    TAPS,
    TILES,
    WEIGHT_TILES,
    convolved,
    frame_at,
    gradient_at,
    kept_columns,
    spread,
    sum_taps,
    value_at,
)
from mmcl.models.kernels.triton_norm import on


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def forward_kernel(r, mean, rstd, gamma, beta, weight, bias_0, bias_1, peak_scale, peak_shift, skip, out,
                   rows, frames, kept, Q: tl.constexpr, STRIDE: tl.constexpr, BLOCK: tl.constexpr,
                   NORM: tl.constexpr, SKIP: tl.constexpr, RELU: tl.constexpr, ALIGNED: tl.constexpr,
                   TF32: tl.constexpr):  # fmt: skip
    """All branches of r (4·Q, rows·frames) into out (4·Q, rows·kept). Grid: (tiles of columns, 4).

    NORM: the first three quarters are normalised; else the maximum is scaled and shifted instead.
    SKIP, RELU: what is done to the result, where no norm follows.
    """
    branch = tl.program_id(1)
    columns, outputs = rows * frames, rows * kept
    if ALIGNED:
        columns, outputs = tl.multiple_of(columns, 16), tl.multiple_of(outputs, 16)
    column, inside, frame, centre = kept_columns(
        tl.program_id(0) * BLOCK, outputs, frames, kept, STRIDE, BLOCK
    )
    channel = tl.arange(0, Q)
    own = channel[:, None]
    quarter = branch.to(tl.int64) * Q
    x = r + quarter * columns + (own * columns + centre[None, :])
    middle = tl.zeros((Q, 1), tl.float32)
    scale = tl.zeros((Q, 1), tl.float32)
    shift = tl.zeros((Q, 1), tl.float32)
    if NORM:
        normed = quarter + own < 3 * Q
        middle = tl.load(mean + quarter + own, mask=normed, other=0)
        scale = tl.load(rstd + quarter + own, mask=normed, other=0)
        scale *= tl.load(gamma + quarter + own, mask=normed, other=0)
        shift = tl.load(beta + quarter + own, mask=normed, other=0)
    y = tl.zeros((Q, BLOCK), tl.float32)
    if branch == 0:
        y = convolved(x, frame, frames, inside, middle, scale, shift, weight, bias_0, 1, 5, Q, BLOCK, NORM, True,
                      TF32)  # fmt: skip
    elif branch == 1:
        y = convolved(x, frame, frames, inside, middle, scale, shift, weight + 5 * Q * Q, bias_1, 2, 5, Q, BLOCK,
                      NORM, True, TF32)  # fmt: skip
    elif branch == 2:
        for k in tl.static_range(-1, 2):  # the frame itself is there, and no value is below zero
            z = frame_at(x, frame, frames, inside, k, middle, scale, shift, NORM, True)
            y = tl.maximum(y, z.to(tl.float32))
        if not NORM:
            y = y * tl.load(peak_scale + channel)[:, None] + tl.load(peak_shift + channel)[:, None]
    else:
        y = tl.load(x, mask=inside[None, :], other=0).to(tl.float32)
    target = own * outputs + column[None, :]
    if SKIP:
        y += tl.load(skip + quarter * outputs + target, mask=inside[None, :], other=0).to(tl.float32)
    if RELU:
        y = tl.maximum(y, 0)
    tl.store(out + quarter * outputs + target, y.to(out.dtype.element_ty), mask=inside[None, :])


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def backward_kernel(grad, r, mean, rstd, gamma, beta, weight, of_r, sums, rows, frames, kept, Q: tl.constexpr,
                    STRIDE: tl.constexpr, BLOCK: tl.constexpr, ALIGNED: tl.constexpr,
                    TF32: tl.constexpr):  # fmt: skip
    """Gradients g of the normalised values, before ReLU, and of the passed quarter. Grid: (programs, 4).

    sums (2, 3·Q, programs): each program's Σ g and Σ g·x̂, for the norm.
    """
    branch = tl.program_id(1)
    columns, outputs = rows * frames, rows * kept
    if ALIGNED:
        columns, outputs = tl.multiple_of(columns, 16), tl.multiple_of(outputs, 16)
    quarter = branch.to(tl.int64) * Q
    grad += quarter * outputs
    r += quarter * columns
    of_r += quarter * columns
    channel = tl.arange(0, Q)
    own = channel[:, None]
    normed = quarter + own < 3 * Q
    middle = tl.load(mean + quarter + own, mask=normed, other=0)
    inverse = tl.load(rstd + quarter + own, mask=normed, other=0)
    scale = inverse * tl.load(gamma + quarter + own, mask=normed, other=0)
    shift = tl.load(beta + quarter + own, mask=normed, other=0)
    total = tl.zeros((Q,), tl.float32)
    product = tl.zeros((Q,), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(columns, BLOCK), tl.num_programs(0)):
        column, inside, frame, _ = kept_columns(tile * BLOCK, columns, frames, frames, 1, BLOCK)
        first = column // frames * kept
        place = own * columns + column[None, :]
        g = grad + (place if STRIDE == 1 else own * outputs)
        if branch == 3:
            passed = gradient_at(g, frame, frames, first, inside, 0, STRIDE)
            tl.store(of_r + place, passed, mask=inside[None, :])
        else:
            x = r + place
            y = value_at(x, inside, middle, scale, shift, True, True)
            dy = tl.zeros((Q, BLOCK), tl.float32)
            if branch == 0:
                dy = spread(g, frame, frames, first, inside, weight, 1, 5, Q, STRIDE, BLOCK, TF32)
            elif branch == 1:
                dy = spread(g, frame, frames, first, inside, weight + 5 * Q * Q, 2, 5, Q, STRIDE, BLOCK, TF32)
            else:
                dy = _of_maximum(x, y, g, frame, frames, first, inside, middle, scale, shift, STRIDE)
            dy = tl.where(y > 0, dy, 0).to(y.dtype)
            tl.store(of_r + place, dy, mask=inside[None, :])
            dy = dy.to(tl.float32)
            total += tl.sum(dy, 1)
            apart = tl.load(x, mask=inside[None, :], other=0).to(tl.float32) - middle
            product += tl.sum(dy * (apart * inverse), 1)
    if branch < 3:
        parts = tl.num_programs(0)
        place = sums + (quarter + channel) * parts + tl.program_id(0)
        tl.store(place, total)
        tl.store(place + 3 * Q * parts, product)


@triton.jit
def _of_maximum(x, y, grad, frame, frames, first, inside, middle, scale, shift, STRIDE: tl.constexpr):
    """Gradient of y, of which the maximum of 3 frames was taken, where y is not 0."""
    # the first of equal values is the maximum; frames outside count as 0
    before = frame_at(x, frame, frames, inside, -1, middle, scale, shift, True, True)
    after = frame_at(x, frame, frames, inside, 1, middle, scale, shift, True, True)
    g = gradient_at(grad, frame, frames, first, inside, 0, STRIDE)
    dy = tl.where((y > before) & (y >= after), g, 0).to(tl.float32)
    far = frame_at(x, frame, frames, inside, -2, middle, scale, shift, True, True)
    g = gradient_at(grad, frame, frames, first, inside, -1, STRIDE)
    dy += tl.where((y > before) & (y > far), g, 0).to(tl.float32)
    far = frame_at(x, frame, frames, inside, 2, middle, scale, shift, True, True)
    g = gradient_at(grad, frame, frames, first, inside, 1, STRIDE)
    return dy + tl.where((y >= after) & (y >= far), g, 0).to(tl.float32)


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def weight_kernel(grad, r, mean, rstd, gamma, beta, partial, rows, frames, kept, Q: tl.constexpr,
                  STRIDE: tl.constexpr, BLOCK: tl.constexpr, ALIGNED: tl.constexpr,
                  TF32: tl.constexpr):  # fmt: skip
    """Gradients of the weights and biases of both convolutions. Grid: (programs, 4): two groups of frames for each.

    partial (programs, 2, 2 · TAPS · Q + 1, Q): each program's share; for each convolution (Q, Q) for every frame and
    one to spare, then Q for the bias.
    """
    branch, group = tl.program_id(1) // 2, tl.program_id(1) % 2
    quarter = branch.to(tl.int64) * Q
    own = quarter + tl.arange(0, Q)[:, None]
    middle = tl.load(mean + own)
    scale = tl.load(rstd + own) * tl.load(gamma + own)
    shift = tl.load(beta + own)
    partial += (tl.program_id(0).to(tl.int64) * 2 + branch) * ((2 * TAPS * Q + 1) * Q)
    sum_taps(grad + quarter * rows * kept, r + quarter * rows * frames, partial + group * TAPS * Q * Q,
             partial + 2 * TAPS * Q * Q, (group * TAPS - 2) * (branch + 1), branch + 1, middle, scale, shift,
             rows, frames, kept, True, True, group == 0, Q, STRIDE, BLOCK, ALIGNED, TF32)  # fmt: skip


def forward(
    r: Tensor,
    norm: tuple[Tensor, Tensor, Tensor] | None,
    convs: Convs,
    stride: int,
    peaks: tuple[Tensor, Tensor] | None = None,
    skip: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """The branches (4Q, L, ⌈T/stride⌉) of r (4Q, L, T).

    Args:
        r: see above.
        norm: mean and 1/σ (2, 3Q), γ and β (3Q) of the norm in front; None where there is none.
        convs: see `temporal`.
        stride: 1 or 2.
        peaks: without a norm, scale and shift (Q) of the maximum.
        skip: what is added to the result, of its shape.
        relu: whether negative sums become zero.
    """
    r = r.contiguous()
    quarter, rows, frames, kept = _sizes(r, stride)
    dtype = r.dtype if skip is None else torch.promote_types(r.dtype, skip.dtype)
    out = r.new_empty((len(r), rows, kept), dtype=dtype)
    block, warps = TILES[quarter]
    # what is not there is not read
    moments, gamma, beta = norm or (convs[1][None].expand(2, -1), convs[1], convs[1])
    scale, shift = peaks or (gamma, beta)
    added = out if skip is None else skip.contiguous()
    with on(r):
        forward_kernel[triton.cdiv(rows * kept, block), 4](
            r, moments[0], moments[1], gamma, beta, packed(convs, r.dtype), convs[1], convs[3], scale, shift,
            added, out, rows, frames, kept, quarter, stride, block, norm is not None, skip is not None, relu,
            is_aligned(rows * frames, rows * kept), r.dtype is torch.float32, num_warps=warps, num_stages=1,
        )  # fmt: skip
    return out


def backward(
    grad: Tensor, r: Tensor, norm: tuple[Tensor, Tensor, Tensor], convs: Convs, stride: int
) -> tuple[Tensor, ...]:
    """Gradients of r, γ, β, and of weights and biases, from that of the branches (4Q, L, ⌈T/stride⌉); see `forward`."""
    grad, r = grad.contiguous(), r.contiguous()
    quarter, rows, frames, kept = _sizes(r, stride)
    columns = rows * frames
    of_r = torch.empty_like(r)
    moments, gamma, beta = norm
    block, warps = BACKWARD_TILES[quarter]
    programs = min(triton_norm.MOST_SHARES, triton.cdiv(columns, block))
    sums = r.new_empty((2, 3 * quarter, programs), dtype=torch.float32)
    weight_block, weight_warps = WEIGHT_TILES[quarter, r.dtype]
    shares = min(8192 // quarter, triton.cdiv(rows * kept, weight_block))  # 21 MB at most
    partial = r.new_empty((shares, 2, 2 * TAPS.value * quarter + 1, quarter), dtype=torch.float32)
    aligned, tf32 = is_aligned(columns, rows * kept), r.dtype is torch.float32
    with on(r):
        backward_kernel[programs, 4](
            grad, r, moments[0], moments[1], gamma, beta, packed(convs, r.dtype), of_r, sums, rows, frames, kept,
            quarter, stride, block, aligned, tf32, num_warps=warps, num_stages=1,
        )  # fmt: skip
        weight_kernel[shares, 4](
            grad, r, moments[0], moments[1], gamma, beta, partial, rows, frames, kept,
            quarter, stride, weight_block, aligned, tf32, num_warps=weight_warps, num_stages=1,
        )  # fmt: skip
    three = 3 * quarter
    found = triton_norm.gradient(r[:three].flatten(1), of_r[:three].flatten(1), gamma, beta, moments, sums)
    total = partial.sum(0)
    weights = total[:, : 5 * quarter].view(2, 5, quarter, quarter).permute(0, 2, 3, 1)[:, :, :, None]
    biases = total[:, -1]
    of_convs = [
        part.to(given.dtype)
        for part, given in zip((weights[0], biases[0], weights[1], biases[1]), convs, strict=True)
    ]
    return of_r, *found, *of_convs


def packed(convs: Convs, dtype: torch.dtype) -> Tensor:
    """Weights (2, 5, Q, Q): convolution, frame, channel out, channel in."""
    both = torch.stack([convs[0][:, :, 0], convs[2][:, :, 0]]).permute(0, 3, 1, 2)
    return torch.empty_like(both, dtype=dtype, memory_format=torch.contiguous_format).copy_(both)


def _sizes(r: Tensor, stride: int) -> tuple[int, int, int, int]:
    """Channels of a branch, rows, frames, and frames that stay."""
    channels, rows, frames = r.shape
    return channels // 4, rows, frames, -(-frames // stride)
