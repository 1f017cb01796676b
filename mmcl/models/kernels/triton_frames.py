"""The kernels of `mmcl.models.kernels.frames`, and what they share with those of the temporal unit.

Columns are (row, frame) pairs, flattened: a row of T frames follows the other, and a window of frames is a shift of
the column, with a mask at the ends of each row. A program takes all channels of one or many tiles of columns.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmcl.models.kernels.frames import is_aligned
from mmcl.models.kernels.triton_common import dot
from mmcl.models.kernels.triton_norm import on

TILES = {16: (128, 4), 32: (64, 4), 64: (64, 8)}
"""Columns of a tile and warps of a program in the forward pass, for so many channels: what its registers hold."""
BACKWARD_TILES = {16: (64, 4), 32: (32, 4), 64: (32, 8)}
WEIGHT_TILES = {
    (16, torch.bfloat16): (32, 2),
    (16, torch.float32): (32, 2),
    (32, torch.bfloat16): (32, 4),
    (32, torch.float32): (16, 4),
    (64, torch.bfloat16): (32, 8),
    (64, torch.float32): (32, 8),
}
"""The same where gradients of weights are summed, which stay in registers."""
TAPS = tl.constexpr(3)
"""Frames of a window whose weights' gradients a program sums."""


@triton.jit
def kept_columns(start, outputs, frames, kept, STRIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Columns of a result: whether each is one, its frame in the input, and its column there."""
    column = start + tl.arange(0, BLOCK)
    row = column // kept
    frame = (column - row * kept) * STRIDE
    centre = column if STRIDE == 1 else row * frames + frame
    return column, column < outputs, frame, centre


@triton.jit
def value_at(x, there, middle, scale, shift, NORM: tl.constexpr, RELU: tl.constexpr):
    """Values at pointers x, normalised and through ReLU if so wished, rounded as they would be stored; 0 elsewhere."""
    y = tl.load(x, mask=there[None, :], other=0)
    if NORM or RELU:
        z = y.to(tl.float32)
        if NORM:
            z = (z - middle) * scale + shift
        if RELU:
            z = tl.maximum(z, 0)
        y = tl.where(there[None, :], z, 0).to(y.dtype)
    return y


@triton.jit
def frame_at(x, frame, frames, inside, offset, middle, scale, shift, NORM: tl.constexpr, RELU: tl.constexpr):
    """`value_at` some frames later; 0 outside of the row."""
    there = inside & (frame >= -offset) & (frame < frames - offset)
    return value_at(x + offset, there, middle, scale, shift, NORM, RELU)


@triton.jit
def convolved(x, frame, frames, inside, middle, scale, shift, weight, bias, D: tl.constexpr, K: tl.constexpr,
              Q: tl.constexpr, BLOCK: tl.constexpr, NORM: tl.constexpr, RELU: tl.constexpr,
              TF32: tl.constexpr):  # fmt: skip
    """b + Σ_k W_k · x[t + (k − K/2)·D]: (Q, BLOCK)."""
    channel = tl.arange(0, Q)
    place = channel[:, None] * Q + channel[None, :]
    acc = tl.zeros((Q, BLOCK), tl.float32)
    for k in tl.static_range(K):
        y = frame_at(x, frame, frames, inside, (k - K // 2) * D, middle, scale, shift, NORM, RELU)
        acc = dot(tl.load(weight + k * Q * Q + place), y, acc, TF32)
    return acc + tl.load(bias + channel)[:, None]


@triton.jit
def gradient_at(grad, frame, frames, first, inside, SHIFT: tl.constexpr, STRIDE: tl.constexpr):
    """Gradient of the output whose window has its centre SHIFT frames later; 0 where there is none.

    grad: pointers, to the same columns if the stride is 1, else to the first column; first: that of the row.
    """
    centre = frame + SHIFT
    there = inside & (centre >= 0) & (centre < frames)
    if STRIDE == 1:
        return tl.load(grad + SHIFT, mask=there[None, :], other=0)
    there = there & (centre % STRIDE == 0)
    return tl.load(grad + (first + centre // STRIDE)[None, :], mask=there[None, :], other=0)


@triton.jit
def spread(grad, frame, frames, first, inside, weight, D: tl.constexpr, K: tl.constexpr, Q: tl.constexpr,
           STRIDE: tl.constexpr, BLOCK: tl.constexpr, TF32: tl.constexpr):  # fmt: skip
    """Gradient of what was convolved: Σ_k W_kᵀ · g of the output that saw this as frame k of its window."""
    into = tl.arange(0, Q)[:, None]
    out = tl.arange(0, Q)[None, :]
    acc = tl.zeros((Q, BLOCK), tl.float32)
    for k in tl.static_range(K):
        g = gradient_at(grad, frame, frames, first, inside, (K // 2 - k) * D, STRIDE)
        acc = dot(tl.load(weight + (k * Q + out) * Q + into), g, acc, TF32)
    return acc


@triton.jit
def sum_taps(grad, x, taps, of_bias, first, step, middle, scale, shift, rows, frames, kept, NORM: tl.constexpr,
             RELU: tl.constexpr, BIAS, Q: tl.constexpr, STRIDE: tl.constexpr, BLOCK: tl.constexpr,
             ALIGNED: tl.constexpr, TF32: tl.constexpr):  # fmt: skip
    """A program's share of the gradients of the weights of `TAPS` frames, (TAPS, Q, Q), and of the bias, (Q).

    The frames are `first`, `first` + `step`, … later than the centre of the window.
    """
    columns, outputs = rows * frames, rows * kept
    if ALIGNED:
        columns, outputs = tl.multiple_of(columns, 16), tl.multiple_of(outputs, 16)
    channel = tl.arange(0, Q)
    own = channel[:, None]
    w0 = tl.zeros((Q, Q), tl.float32)
    w1 = tl.zeros((Q, Q), tl.float32)
    w2 = tl.zeros((Q, Q), tl.float32)
    bias = tl.zeros((Q,), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(outputs, BLOCK), tl.num_programs(0)):
        column, inside, frame, centre = kept_columns(tile * BLOCK, outputs, frames, kept, STRIDE, BLOCK)
        place = x + (own * columns + centre[None, :])
        g = tl.load(grad + (own * outputs + column[None, :]), mask=inside[None, :], other=0)
        if BIAS:
            bias += tl.sum(g.to(tl.float32), 1)
        y = frame_at(place, frame, frames, inside, first, middle, scale, shift, NORM, RELU)
        w0 = dot(g, tl.trans(y), w0, TF32)
        y = frame_at(place, frame, frames, inside, first + step, middle, scale, shift, NORM, RELU)
        w1 = dot(g, tl.trans(y), w1, TF32)
        y = frame_at(place, frame, frames, inside, first + 2 * step, middle, scale, shift, NORM, RELU)
        w2 = dot(g, tl.trans(y), w2, TF32)
    if BIAS:
        tl.store(of_bias + channel, bias)
    place = taps + own * Q + channel[None, :]
    tl.store(place, w0)
    tl.store(place + Q * Q, w1)
    tl.store(place + 2 * Q * Q, w2)


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def forward_kernel(x, weight, bias, out, rows, frames, kept, K: tl.constexpr, Q: tl.constexpr,
                   STRIDE: tl.constexpr, BLOCK: tl.constexpr, ALIGNED: tl.constexpr,
                   TF32: tl.constexpr):  # fmt: skip
    """x (Q, rows·frames) into out (Q, rows·kept). Grid: tiles of columns."""
    columns, outputs = rows * frames, rows * kept
    if ALIGNED:
        columns, outputs = tl.multiple_of(columns, 16), tl.multiple_of(outputs, 16)
    column, inside, frame, centre = kept_columns(
        tl.program_id(0) * BLOCK, outputs, frames, kept, STRIDE, BLOCK
    )
    own = tl.arange(0, Q)[:, None]
    x += own * columns + centre[None, :]
    y = convolved(x, frame, frames, inside, 0, 0, 0, weight, bias, 1, K, Q, BLOCK, False, False, TF32)
    tl.store(out + (own * outputs + column[None, :]), y.to(out.dtype.element_ty), mask=inside[None, :])


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def backward_kernel(grad, weight, of_x, rows, frames, kept, K: tl.constexpr, Q: tl.constexpr,
                    STRIDE: tl.constexpr, BLOCK: tl.constexpr, ALIGNED: tl.constexpr,
                    TF32: tl.constexpr):  # fmt: skip
    """Gradient of x. Grid: tiles of columns."""
    columns, outputs = rows * frames, rows * kept
    if ALIGNED:
        columns, outputs = tl.multiple_of(columns, 16), tl.multiple_of(outputs, 16)
    column, inside, frame, _ = kept_columns(tl.program_id(0) * BLOCK, columns, frames, frames, 1, BLOCK)
    first = column // frames * kept
    own = tl.arange(0, Q)[:, None]
    place = own * columns + column[None, :]
    grad += place if STRIDE == 1 else own * outputs
    found = spread(grad, frame, frames, first, inside, weight, 1, K, Q, STRIDE, BLOCK, TF32)
    tl.store(of_x + place, found.to(of_x.dtype.element_ty), mask=inside[None, :])


@triton.jit(do_not_specialize=["rows", "frames", "kept"])
def weight_kernel(grad, x, partial, rows, frames, kept, K: tl.constexpr, Q: tl.constexpr, STRIDE: tl.constexpr,
                  BLOCK: tl.constexpr, ALIGNED: tl.constexpr, TF32: tl.constexpr):  # fmt: skip
    """Gradients of the weights and of the bias. Grid: (programs, groups of frames of the window).

    partial (programs, groups · TAPS · Q + 1, Q): each program's share; (Q, Q) for every frame, of which the last group
    may have some to spare, then Q for the bias.
    """
    group, groups = tl.program_id(1), tl.num_programs(1)
    partial += tl.program_id(0).to(tl.int64) * ((groups * TAPS * Q + 1) * Q)
    sum_taps(grad, x, partial + group * TAPS * Q * Q, partial + groups * TAPS * Q * Q, group * TAPS - K // 2, 1,
             0, 0, 0, rows, frames, kept, False, False, group == 0, Q, STRIDE, BLOCK, ALIGNED, TF32)  # fmt: skip


def forward(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """See `mmcl.models.kernels.frames.plain`."""
    x = x.contiguous()
    channels, rows, frames = x.shape
    kept = -(-frames // stride)
    out = x.new_empty((channels, rows, kept))
    block, warps = TILES[channels]
    with on(x):
        forward_kernel[(triton.cdiv(rows * kept, block),)](
            x, packed(weight, x.dtype), bias, out, rows, frames, kept, weight.shape[3], channels, stride, block,
            is_aligned(rows * frames, rows * kept), x.dtype is torch.float32, num_warps=warps, num_stages=1,
        )  # fmt: skip
    return out


def backward(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (C, L, T), weight and bias from that of the result; those of the last two in float32."""
    grad, x = grad.contiguous(), x.contiguous()
    channels, rows, frames = x.shape
    kept, window = grad.shape[2], weight.shape[3]
    of_x = torch.empty_like(x)
    block, warps = BACKWARD_TILES[channels]
    weight_block, weight_warps = WEIGHT_TILES[channels, x.dtype]
    shares = min(8192 // channels, triton.cdiv(rows * kept, weight_block))
    groups = triton.cdiv(window, TAPS.value)
    partial = x.new_empty((shares, groups * TAPS.value * channels + 1, channels), dtype=torch.float32)
    form = {"STRIDE": stride, "ALIGNED": is_aligned(rows * frames, rows * kept), "num_stages": 1}
    form |= {"K": window, "Q": channels, "TF32": x.dtype is torch.float32}
    with on(x):
        backward_kernel[(triton.cdiv(rows * frames, block),)](
            grad, packed(weight, x.dtype), of_x, rows, frames, kept, BLOCK=block, num_warps=warps, **form
        )
        weight_kernel[shares, groups](
            grad, x, partial, rows, frames, kept, BLOCK=weight_block, num_warps=weight_warps, **form
        )
    total = partial.sum(0)
    taps = total[: window * channels].view(window, channels, channels)
    return of_x, taps.permute(1, 2, 0)[:, :, None], total[-1]


def packed(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights (O, I, 1, K) as (K, O, I)."""
    moved = weight[:, :, 0].permute(2, 0, 1)
    return torch.empty_like(moved, dtype=dtype, memory_format=torch.contiguous_format).copy_(moved)
