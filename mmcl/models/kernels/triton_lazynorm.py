"""Kernels of `mmcl.models.kernels.lazynorm`.

z is (R, T, M): rows, frames, and people with their joints. A block of threads takes some columns of M in one row
through all frames, FRAMES of them at a time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmcl.models.kernels.triton_common import joined, on

BLOCK = 256
"""Columns that a block of threads takes, unless there would be too many blocks in a row."""
TILE = 2048
"""Numbers that a block of threads reads at a time."""
MOST_CHUNKS = 64


@triton.jit(do_not_specialize=["tiles"])  # type: ignore[untyped-decorator]
def moments_kernel(  # type: ignore[no-untyped-def]
    z, peaks, ties, partial, frames, columns, tiles, FRAMES: tl.constexpr, BLOCK: tl.constexpr
):
    """Maximum over frames and how many frames have it, (R, M); mean of a chunk and the sum of squares of what is apart
    from it, partial (2, R, chunks). See `mmcl.models.kernels.triton_norm.moments_kernel`."""
    chunk = tl.program_id(0)
    row = tl.program_id(1)
    column = chunk * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    z += row.to(tl.int64) * frames * columns
    frame = tl.arange(0, FRAMES)
    mean = tl.zeros([FRAMES, BLOCK], tl.float32)
    spread = tl.zeros([FRAMES, BLOCK], tl.float32)
    top = tl.full([FRAMES, BLOCK], float("-inf"), tl.float32)
    count = tl.zeros([FRAMES, BLOCK], tl.int32)
    for tile in range(tiles):
        now = tile * FRAMES + frame
        there = (now < frames)[:, None] & inside[None, :]
        value = tl.load(z + now[:, None] * columns + column[None, :], mask=there, other=0).to(tl.float32)
        apart = tl.where(there, value - mean, 0)
        mean += apart * (1.0 / (tile + 1))
        spread += apart * tl.where(there, value - mean, 0)
        value = tl.where(there, value, float("-inf"))
        count = tl.where(value > top, 1, tl.where(value == top, count + 1, count))
        top = tl.maximum(value, top)
    peak = tl.max(top, 0)
    tl.store(peaks + row * columns + column, peak.to(peaks.dtype.element_ty), mask=inside)
    tl.store(ties + row * columns + column, tl.sum(tl.where(top == peak[None, :], count, 0), 0), mask=inside)
    lanes = ((frames - frame + FRAMES - 1) // FRAMES).to(tl.float32)[:, None] * inside[None, :].to(tl.float32)
    size = frames * tl.minimum(BLOCK, columns - chunk * BLOCK)
    level = tl.sum(lanes * mean) / size
    spread += lanes * (mean - level) * (mean - level)
    tl.store(partial + row * tl.num_programs(0) + chunk, level)
    tl.store(partial + (tl.num_programs(1) + row) * tl.num_programs(0) + chunk, tl.sum(spread))


@triton.jit  # type: ignore[untyped-decorator]
def join_kernel(  # type: ignore[no-untyped-def]
    partial, mean, variance, frames, columns, chunks, BLOCK: tl.constexpr, CHUNKS: tl.constexpr
):
    """Mean and variance of the rows, (R)."""
    row = tl.program_id(0)
    found = joined(partial, row, tl.num_programs(0), chunks, frames * BLOCK, frames * columns, CHUNKS)
    tl.store(mean + row, found[0])
    tl.store(variance + row, found[1])


@triton.jit(do_not_specialize=["tiles"])  # type: ignore[untyped-decorator]
def gradient_kernel(  # type: ignore[no-untyped-def]
    z,
    of_z,
    peaks,
    of_peaks,
    ties,
    mean,
    of_mean,
    of_variance,
    out,
    frames,
    columns,
    tiles,
    FRAMES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradient of z (R, T, M) from those of itself, its maximum, mean and variance."""
    row = tl.program_id(1)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    first = row.to(tl.int64) * frames * columns
    size = (frames * columns).to(tl.float32)
    slope = 2 * tl.load(of_variance + row) / size
    level = tl.load(of_mean + row) / size
    middle = tl.load(mean + row)
    peak = tl.load(peaks + row * columns + column, mask=inside, other=0).to(tl.float32)
    # what is at the maximum has its gradient; where several frames are, an equal share of it
    share = tl.load(of_peaks + row * columns + column, mask=inside, other=0).to(tl.float32)
    share = share / tl.load(ties + row * columns + column, mask=inside, other=1).to(tl.float32)
    for tile in range(tiles):
        now = tile * FRAMES + tl.arange(0, FRAMES)
        there = (now < frames)[:, None] & inside[None, :]
        place = first + now[:, None] * columns + column[None, :]
        value = tl.load(z + place, mask=there, other=0).to(tl.float32)
        found = tl.load(of_z + place, mask=there, other=0).to(tl.float32) + level + slope * (value - middle)
        found += tl.where(value == peak[None, :], share[None, :], 0)
        tl.store(out + place, found.to(out.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["tiles"])  # type: ignore[untyped-decorator]
def sum_kernel(  # type: ignore[no-untyped-def]
    z,
    weights,
    offset,
    out,
    layers,
    count,
    joints,
    frames,
    columns,
    tiles,
    FRAMES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Σ_l w_l z_l + b: z (L, C, T, M), weights (L, C, N), offset (C, N) -> (C, T, M)."""
    channel = tl.program_id(1)
    channels = tl.num_programs(1)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    person = column // joints
    level = tl.load(offset + channel * count + person, mask=inside, other=0).to(tl.float32)
    for tile in range(tiles):
        now = tile * FRAMES + tl.arange(0, FRAMES)
        there = (now < frames)[:, None] & inside[None, :]
        place = now[:, None] * columns + column[None, :]
        total = tl.zeros([FRAMES, BLOCK], tl.float32) + level[None, :]
        for layer in range(layers):
            row = layer * channels + channel
            weight = tl.load(weights + row * count + person, mask=inside, other=0).to(tl.float32)
            value = tl.load(z + row.to(tl.int64) * frames * columns + place, mask=there, other=0)
            total += weight[None, :] * value.to(tl.float32)
        first = channel.to(tl.int64) * frames * columns
        tl.store(out + first + place, total.to(out.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["tiles"])  # type: ignore[untyped-decorator]
def sum_gradient_kernel(  # type: ignore[no-untyped-def]
    z,
    weights,
    grad,
    of_z,
    of_weights,
    of_offset,
    channels,
    count,
    joints,
    frames,
    columns,
    tiles,
    FRAMES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradient of z (L, C, T, M), and per joint those of weights (L, C, M) and offset (C, M)."""
    row = tl.program_id(1)
    channel = row % channels
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    weight = tl.load(weights + row * count + column // joints, mask=inside, other=0).to(tl.float32)
    z += row.to(tl.int64) * frames * columns
    of_z += row.to(tl.int64) * frames * columns
    grad += channel.to(tl.int64) * frames * columns
    slope = tl.zeros([FRAMES, BLOCK], tl.float32)
    level = tl.zeros([FRAMES, BLOCK], tl.float32)
    for tile in range(tiles):
        now = tile * FRAMES + tl.arange(0, FRAMES)
        there = (now < frames)[:, None] & inside[None, :]
        place = now[:, None] * columns + column[None, :]
        of_y = tl.load(grad + place, mask=there, other=0).to(tl.float32)
        slope += of_y * tl.load(z + place, mask=there, other=0).to(tl.float32)
        level += of_y
        tl.store(of_z + place, (weight[None, :] * of_y).to(of_z.dtype.element_ty), mask=there)
    tl.store(of_weights + row * columns + column, tl.sum(slope, 0), mask=inside)
    if row < channels:
        tl.store(of_offset + channel * columns + column, tl.sum(level, 0), mask=inside)


def moments(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of z (R, T, M): maximum over T (R, M), frames that have it (R, M) int32, mean and variance (R) float32."""
    rows, frames, columns = z.shape
    chunks, cut = _cut(frames, columns)
    peaks, ties = z.new_empty(rows, columns), z.new_empty((rows, columns), dtype=torch.int32)
    partial = z.new_empty((2, rows, chunks), dtype=torch.float32)
    mean, variance = (z.new_empty(rows, dtype=torch.float32) for _ in range(2))
    with on(z):
        moments_kernel[chunks, rows](z, peaks, ties, partial, frames, columns, *cut)
        join_kernel[(rows,)](partial, mean, variance, frames, columns, chunks, cut[-1], MOST_CHUNKS)
    return peaks, ties, mean, variance


def moments_gradient(
    z: Tensor,
    of_z: Tensor,
    peaks: Tensor,
    of_peaks: Tensor,
    ties: Tensor,
    mean: Tensor,
    of_mean: Tensor,
    of_variance: Tensor,
) -> Tensor:
    """Gradient of z (R, T, M); see `gradient_kernel`."""
    rows, frames, columns = z.shape
    chunks, cut = _cut(frames, columns)
    out = torch.empty_like(z)
    with on(z):
        gradient_kernel[chunks, rows](
            z,
            of_z,
            peaks,
            of_peaks,
            ties,
            mean,
            of_mean,
            of_variance,
            out,
            frames,
            columns,
            *cut,
        )
    return out


def weighted_sum(z: Tensor, weights: Tensor, offset: Tensor, joints: int) -> Tensor:
    """z (L, C, T, M), weights (L, C, N), offset (C, N) -> (C, T, M)."""
    layers, channels, frames, columns = z.shape
    chunks, cut = _cut(frames, columns)
    out = z.new_empty(channels, frames, columns)
    sizes = (layers, weights.shape[2], joints, frames, columns)
    with on(z):
        sum_kernel[chunks, channels](z, weights, offset, out, *sizes, *cut)
    return out


def weighted_sum_gradient(
    z: Tensor, weights: Tensor, grad: Tensor, joints: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of z (L, C, T, M), of weights (L, C, M) and of offset (C, M), these still joint by joint in float32."""
    layers, channels, frames, columns = z.shape
    chunks, cut = _cut(frames, columns)
    of_z = torch.empty_like(z)
    of_weights = z.new_empty((layers, channels, columns), dtype=torch.float32)
    of_offset = z.new_empty((channels, columns), dtype=torch.float32)
    sizes = (channels, weights.shape[2], joints, frames, columns)
    with on(z):
        sum_gradient_kernel[chunks, layers * channels](
            z, weights, grad, of_z, of_weights, of_offset, *sizes, *cut
        )
    return of_z, of_weights, of_offset


def _cut(frames: int, columns: int) -> tuple[int, tuple[int, int, int]]:
    """Chunks of the columns; how often a block of threads reads, frames at a time, and columns in a chunk."""
    block = min(TILE, max(BLOCK, triton.next_power_of_2(triton.cdiv(columns, MOST_CHUNKS))))
    return triton.cdiv(columns, block), (triton.cdiv(frames, TILE // block), TILE // block, block)
