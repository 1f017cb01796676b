"""What the Triton kernels share."""

import contextlib
import os

import torch
import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit  # type: ignore[untyped-decorator]
def dot(a, b, acc, TF32: tl.constexpr):  # type: ignore[no-untyped-def]
    """acc + a · b, accumulated in float32; float32 products exactly, or in TF32."""
    if INTERPRETED:  # whose products of bfloat16 are wrong
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, acc, input_precision="tf32" if TF32 else "ieee")


@triton.jit  # type: ignore[untyped-decorator]
def joined(partial, row, rows, chunks, size, length, CHUNKS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Mean and variance of a row from those of its chunks, by Chan's formula.

    Args:
        partial: (2, rows, chunks) float32: means, and sums of squares of what is apart from them.
        row: which.
        rows, chunks: how many.
        size: numbers in a chunk; the last one has what is left.
        length: numbers in a row.
        CHUNKS: power of two, not below `chunks`.
    """
    parts = tl.arange(0, CHUNKS)
    there = parts < chunks
    counts = tl.where(there, tl.minimum(size, length - parts * size), 0).to(tl.float32)
    means = tl.load(partial + row * chunks + parts, mask=there, other=0)
    spreads = tl.load(partial + (rows + row) * chunks + parts, mask=there, other=0)
    total = length.to(tl.float32)
    mean = tl.sum(counts * means) / total
    return mean, tl.sum(spreads + counts * (means - mean) * (means - mean)) / total


@triton.jit  # type: ignore[untyped-decorator]
def rounded(x, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
    """x (float32) in another data type, to the nearest."""
    if INTERPRETED and tl.bfloat16 == KIND:  # it cuts digits off
        bits = x.to(tl.uint32, bitcast=True)
        bits += 0x7FFF + ((bits >> 16) & 1)
        x = (bits & 0xFFFF0000).to(tl.float32, bitcast=True)
    return x.to(KIND)


def on(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Launch kernels where a tensor is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
