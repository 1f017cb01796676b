"""Kernels of `mmcl.models.kernels.norm`.

A channel's row of L numbers is cut into chunks, one block of threads for each, so that few channels fill a GPU too.
What a chunk adds to a channel's statistics goes to a buffer, and each block of the pass that follows sums the buffer
for itself: the order of additions is fixed, and there are two launches in each direction.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

BLOCK = 2048
"""Numbers that a block of threads reads at a time."""
MOST_CHUNKS = 64
MOST_SHARES = 256
"""Shares of the sums that a gradient needs, where another kernel made them."""
PROGRAMS = 4096
"""Blocks of threads in a launch, about: two rounds on the largest GPUs."""


@triton.jit(do_not_specialize=["tiles", "chunks"])  # type: ignore[untyped-decorator]
def moments_kernel(x, partial, stride, length, tiles, chunks, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Mean of each chunk, and the sum of squares of what is apart from it: partial (2, C, chunks).

    Each lane has its own running mean (Welford), so that nothing cancels; lanes are joined by Chan's formula.
    """
    chunk = tl.program_id(0)
    row = tl.program_id(1)
    x += row.to(tl.int64) * stride
    lanes = tl.arange(0, BLOCK)
    mean = tl.zeros([BLOCK], tl.float32)
    spread = tl.zeros([BLOCK], tl.float32)
    first = chunk * tiles * BLOCK
    for tile in range(tiles):
        columns = first + tile * BLOCK + lanes
        inside = columns < length
        value = tl.load(x + columns, mask=inside, other=0).to(tl.float32)
        apart = tl.where(inside, value - mean, 0)
        mean += apart * (1.0 / (tile + 1))
        spread += apart * tl.where(inside, value - mean, 0)
    size = tl.minimum(tiles * BLOCK, length - first)
    counts = ((size - lanes + BLOCK - 1) // BLOCK).to(tl.float32)  # of each lane
    level = tl.sum(counts * mean) / size
    spread += counts * (mean - level) * (mean - level)
    tl.store(partial + row * chunks + chunk, level)
    tl.store(partial + (tl.num_programs(1) + row) * chunks + chunk, tl.sum(spread))


@triton.jit  # type: ignore[untyped-decorator]
def joined(  # type: ignore[no-untyped-def]
    partial, eps, row, rows, length, tiles, chunks, BLOCK: tl.constexpr, CHUNKS: tl.constexpr
):
    """Mean, variance and 1/σ of a channel from its chunks."""
    parts = tl.arange(0, CHUNKS)
    there = parts < chunks
    counts = tl.where(there, tl.minimum(tiles * BLOCK, length - parts * tiles * BLOCK), 0).to(tl.float32)
    means = tl.load(partial + row * chunks + parts, mask=there, other=0)
    spreads = tl.load(partial + (rows + row) * chunks + parts, mask=there, other=0)
    size = length.to(tl.float32)
    mean = tl.sum(counts * means) / size
    variance = tl.sum(spreads + counts * (means - mean) * (means - mean)) / size
    return mean, variance, 1 / tl.sqrt(variance + eps)


@triton.jit
def settle(  # type: ignore[no-untyped-def]
    moments, running_mean, running_var, batches, momentum, mean, variance, inverse, row, rows, length
):
    """Store a channel's mean and 1/σ, and move its running statistics."""
    size = length.to(tl.float32)
    tl.store(moments + row, mean)
    tl.store(moments + rows + row, inverse)
    before = tl.load(running_mean + row)
    tl.store(running_mean + row, before + momentum * (mean - before))
    before = tl.load(running_var + row)
    tl.store(running_var + row, before + momentum * (variance * (size / (size - 1)) - before))
    if row == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit(do_not_specialize=["tiles", "chunks"])  # type: ignore[untyped-decorator]
def settle_kernel(  # type: ignore[no-untyped-def]
    partial,
    moments,
    running_mean,
    running_var,
    batches,
    momentum,
    eps,
    length,
    tiles,
    chunks,
    BLOCK: tl.constexpr,
    CHUNKS: tl.constexpr,
):
    """Mean and 1/σ of x, moments (2, C), and running statistics, where another kernel normalises."""
    row, rows = tl.program_id(0), tl.num_programs(0)
    mean, variance, inverse = joined(partial, eps, row, rows, length, tiles, chunks, BLOCK, CHUNKS)
    settle(moments, running_mean, running_var, batches, momentum, mean, variance, inverse, row, rows, length)


@triton.jit(do_not_specialize=["tiles", "chunks"])  # type: ignore[untyped-decorator]
def normalise_kernel(  # type: ignore[no-untyped-def]
    x,
    skip,
    out,
    partial,
    weight,
    bias,
    moments,
    running_mean,
    running_var,
    batches,
    momentum,
    eps,
    stride,
    skip_stride,
    length,
    tiles,
    chunks,
    SKIP: tl.constexpr,
    RELU: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNKS: tl.constexpr,
):
    """y (C, L); its mean and 1/σ, moments (2, C); running statistics."""
    # in reverse order: what the pass before read last is still in the cache
    rows = tl.num_programs(1)
    chunk = chunks - 1 - tl.program_id(0)
    row = rows - 1 - tl.program_id(1)

    mean, variance, inverse = joined(partial, eps, row, rows, length, tiles, chunks, BLOCK, CHUNKS)
    if chunk == 0:
        settle(
            moments, running_mean, running_var, batches, momentum, mean, variance, inverse, row, rows, length
        )

    scale = inverse * tl.load(weight + row)
    shift = tl.load(bias + row)
    x += row.to(tl.int64) * stride
    out += row.to(tl.int64) * length
    if SKIP:
        skip += row.to(tl.int64) * skip_stride
    for tile in range(tiles):
        columns = (chunk * tiles + tile) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < length
        value = (tl.load(x + columns, mask=inside, other=0).to(tl.float32) - mean) * scale + shift
        if SKIP:
            value += tl.load(skip + columns, mask=inside, other=0).to(tl.float32)
        if RELU:
            value = tl.where(value < 0, 0, value)  # which keeps NaN
        tl.store(out + columns, value.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["tiles", "chunks"])  # type: ignore[untyped-decorator]
def sums_kernel(  # type: ignore[no-untyped-def]
    x,
    grad,
    out,
    masked,
    partial,
    weight,
    bias,
    moments,
    stride,
    grad_stride,
    length,
    tiles,
    chunks,
    FROM_X: tl.constexpr,
    FROM_OUT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Σ g and Σ g · x̂ of each chunk, partial (2, C, chunks), with g the gradient in front of the ReLU.

    The ReLU's sign is computed again (FROM_X), or read from y (FROM_OUT); then g is written too.
    """
    chunk = tl.program_id(0)
    row = tl.program_id(1)
    rows = tl.num_programs(1)
    mean = tl.load(moments + row)
    inverse = tl.load(moments + rows + row)
    scale = inverse * tl.load(weight + row)
    shift = tl.load(bias + row)
    x += row.to(tl.int64) * stride
    grad += row.to(tl.int64) * grad_stride
    out += row.to(tl.int64) * length
    masked += row.to(tl.int64) * length
    level = tl.zeros([BLOCK], tl.float32)
    slope = tl.zeros([BLOCK], tl.float32)
    for tile in range(tiles):
        columns = (chunk * tiles + tile) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < length
        apart = tl.load(x + columns, mask=inside, other=0).to(tl.float32) - mean
        of_y = tl.load(grad + columns, mask=inside, other=0)
        if FROM_X:
            of_y = tl.where(apart * scale + shift > 0, of_y, 0)
        if FROM_OUT:
            of_y = tl.where(tl.load(out + columns, mask=inside, other=0) > 0, of_y, 0)
            tl.store(masked + columns, of_y, mask=inside)
        of_y = of_y.to(tl.float32)
        level += of_y
        slope += of_y * (apart * inverse)
    tl.store(partial + row * chunks + chunk, tl.sum(level))
    tl.store(partial + (rows + row) * chunks + chunk, tl.sum(slope))


@triton.jit(do_not_specialize=["tiles", "chunks", "shares"])  # type: ignore[untyped-decorator]
def gradient_kernel(  # type: ignore[no-untyped-def]
    x,
    grad,
    of_x,
    partial,
    weight,
    bias,
    moments,
    of_weight,
    of_bias,
    stride,
    grad_stride,
    length,
    tiles,
    chunks,
    shares,
    FROM_X: tl.constexpr,
    BLOCK: tl.constexpr,
    SHARES: tl.constexpr,
):
    """γ/σ · (g − mean(g) − x̂ · mean(g · x̂)), (C, L), and the gradients of weight and bias (C).

    partial: Σ g and Σ g · x̂ in so many shares, (2, C, shares).
    """
    rows = tl.num_programs(1)
    chunk = chunks - 1 - tl.program_id(0)  # see `normalise_kernel`
    row = rows - 1 - tl.program_id(1)

    parts = tl.arange(0, SHARES)
    there = parts < shares
    level = tl.sum(tl.load(partial + row * shares + parts, mask=there, other=0))
    slope = tl.sum(tl.load(partial + (rows + row) * shares + parts, mask=there, other=0))
    if chunk == 0:
        tl.store(of_bias + row, level)
        tl.store(of_weight + row, slope)

    mean = tl.load(moments + row)
    inverse = tl.load(moments + rows + row)
    scale = inverse * tl.load(weight + row)
    shift = tl.load(bias + row)
    level = level / length
    slope = inverse * slope / length
    x += row.to(tl.int64) * stride
    grad += row.to(tl.int64) * grad_stride
    of_x += row.to(tl.int64) * length
    for tile in range(tiles):
        columns = (chunk * tiles + tile) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < length
        apart = tl.load(x + columns, mask=inside, other=0).to(tl.float32) - mean
        of_y = tl.load(grad + columns, mask=inside, other=0).to(tl.float32)
        if FROM_X:
            of_y = tl.where(apart * scale + shift > 0, of_y, 0)
        found = scale * (of_y - level - apart * slope)
        tl.store(of_x + columns, found.to(of_x.dtype.element_ty), mask=inside)


def forward(
    x: Tensor, weight: Tensor, bias: Tensor, skip: Tensor | None, relu: bool, norm: nn.BatchNorm1d
) -> tuple[Tensor, Tensor]:
    """y (C, L) of x and skip (C, L), and mean and 1/σ (2, C) float32; moves the running statistics of `norm`."""
    x = _rows(x)
    rows, length = x.shape
    tiles, chunks = _cut(rows, length)
    of_skip = x if skip is None else _rows(skip)
    out = x.new_empty(x.shape, dtype=torch.promote_types(x.dtype, of_skip.dtype))
    moments = x.new_empty((2, rows), dtype=torch.float32)
    partial = x.new_empty((2, rows, chunks), dtype=torch.float32)
    with on(x):
        moments_kernel[chunks, rows](x, partial, x.stride(0), length, tiles, chunks, BLOCK)
        normalise_kernel[chunks, rows](
            x,
            of_skip,
            out,
            partial,
            weight,
            bias,
            moments,
            norm.running_mean,
            norm.running_var,
            norm.num_batches_tracked,
            norm.momentum,
            norm.eps,
            x.stride(0),
            of_skip.stride(0),
            length,
            tiles,
            chunks,
            skip is not None,
            relu,
            BLOCK,
            MOST_CHUNKS,
        )
    return out, moments


def backward(
    x: Tensor, weight: Tensor, bias: Tensor, moments: Tensor, out: Tensor | None, grad: Tensor, relu: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients in front of the ReLU, of x, of weight and of bias.

    Args:
        x: (C, L).
        weight, bias: (C).
        moments: (2, C), see `forward`.
        out: y (C, L) where the ReLU's sign is read from it.
        grad: of y, (C, L).
        relu: whether there was a ReLU.
    """
    x, grad = _rows(x), _rows(grad)
    rows, length = x.shape
    tiles, chunks = _cut(rows, length)
    partial = x.new_empty((2, rows, chunks), dtype=torch.float32)
    of_x, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
    masked = grad if out is None else torch.empty_like(grad, memory_format=torch.contiguous_format)
    from_x = relu and out is None
    sizes = (length, tiles, chunks)
    with on(x):
        sums_kernel[chunks, rows](
            x,
            grad,
            x if out is None else out,
            masked,
            partial,
            weight,
            bias,
            moments,
            x.stride(0),
            grad.stride(0),
            *sizes,
            from_x,
            out is not None,
            BLOCK,
        )
        gradient_kernel[chunks, rows](
            x,
            masked,
            of_x,
            partial,
            weight,
            bias,
            moments,
            of_weight,
            of_bias,
            x.stride(0),
            masked.stride(0),
            *sizes,
            chunks,
            from_x,
            BLOCK,
            MOST_CHUNKS,
        )
    return masked, of_x, of_weight, of_bias


def statistics(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Mean and 1/σ (2, C) float32 of x (C, L); moves the running statistics of `norm`."""
    x = _rows(x)
    rows, length = x.shape
    tiles, chunks = _cut(rows, length)
    moments = x.new_empty((2, rows), dtype=torch.float32)
    partial = x.new_empty((2, rows, chunks), dtype=torch.float32)
    with on(x):
        moments_kernel[chunks, rows](x, partial, x.stride(0), length, tiles, chunks, BLOCK)
        settle_kernel[(rows,)](
            partial,
            moments,
            norm.running_mean,
            norm.running_var,
            norm.num_batches_tracked,
            norm.momentum,
            norm.eps,
            length,
            tiles,
            chunks,
            BLOCK,
            MOST_CHUNKS,
            num_warps=1,
        )
    return moments


def gradient(
    x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor, moments: Tensor, partial: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias; that of x replaces `grad`, the one behind the norm.

    Args:
        x, grad: (C, L), each row in one piece.
        weight, bias: (C).
        moments: (2, C), see `statistics`.
        partial: Σ g and Σ g · x̂ in up to `MOST_SHARES` shares, (2, C, shares) float32.
    """
    rows, length = x.shape
    tiles, chunks = _cut(rows, length)
    of_weight, of_bias = torch.empty_like(weight), torch.empty_like(bias)
    with on(x):
        gradient_kernel[chunks, rows](
            x,
            grad,
            grad,
            partial,
            weight,
            bias,
            moments,
            of_weight,
            of_bias,
            x.stride(0),
            grad.stride(0),
            length,
            tiles,
            chunks,
            partial.shape[2],
            False,
            BLOCK,
            MOST_SHARES,
        )
    return of_weight, of_bias


def _rows(x: Tensor) -> Tensor:
    """x (C, L), its rows in one piece."""
    return x if x.stride(1) == 1 else x.contiguous()


def _cut(rows: int, length: int) -> tuple[int, int]:
    """Tiles in a chunk, and chunks in a row."""
    tiles = max(triton.cdiv(length, BLOCK * MOST_CHUNKS), triton.cdiv(rows * length, BLOCK * PROGRAMS))
    return tiles, triton.cdiv(length, BLOCK * tiles)


def on(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Launch where the tensor is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
