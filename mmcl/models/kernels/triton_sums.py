"""Kernels of `mmcl.colearn.sums`: every similarity is read, and no product is stored."""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 2048
WARPS = 8


@triton.jit(do_not_specialize=["scale", "anchors", "keys"])  # type: ignore[untyped-decorator]
def forward_kernel(a, b, first, second, out, scale, anchors, keys, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """log Σ_k exp of row `first` of a, times row `second` of b and scale where that is not negative.

    a, b (·, anchors, keys), out (sums, anchors). Grid: (sums, anchors), so that what is read together stays in cache.
    """
    number, anchor = tl.program_id(0), tl.program_id(1).to(tl.int64)
    i, j = tl.load(first + number).to(tl.int64), tl.load(second + number).to(tl.int64)
    place = tl.arange(0, BLOCK)
    largest = tl.full((), float("-inf"), tl.float32)
    total = tl.zeros((), tl.float32)
    for start in range(0, keys, BLOCK):
        inside = start + place < keys
        x = tl.load(a + (i * anchors + anchor) * keys + start + place, mask=inside, other=0)
        if j >= 0:
            y = tl.load(b + (j * anchors + anchor) * keys + start + place, mask=inside, other=0)
            x = x * y * scale
        x = tl.where(inside, x, float("-inf"))
        top = tl.maximum(largest, tl.max(x, 0))
        total = total * tl.exp(largest - top) + tl.sum(tl.exp(x - top), 0)
        largest = top
    tl.store(out + number * anchors + anchor, tl.log(total) + largest)


@triton.jit(do_not_specialize=["scale", "rows", "count", "anchors", "keys"])  # type: ignore[untyped-decorator]
def backward_kernel(  # type: ignore[no-untyped-def]
    a, b, partner, number, sums, slope, out, scale, rows, count, anchors, keys, BLOCK: tl.constexpr
):
    """Gradient of a: Σ slope · exp(… − sum) · (1, or scale · b) over the sums that a row takes part in.

    partner, number (rows, count): whose row of b multiplies it, and the number of the sum; −1 where there are fewer.
    sums, slope (·, anchors), of which the first `rows` are those without a product. Grid: (rows, blocks of keys,
    anchors).
    """
    i, anchor = tl.program_id(0).to(tl.int64), tl.program_id(2).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < keys
    x = tl.load(a + (i * anchors + anchor) * keys + place, mask=inside, other=0)
    own = i * anchors + anchor
    total = tl.exp(x - tl.load(sums + own)) * tl.load(slope + own)
    for n in range(count):
        p = tl.load(number + i * count + n).to(tl.int64)
        if p >= 0:
            j = tl.load(partner + i * count + n).to(tl.int64)
            y = tl.load(b + (j * anchors + anchor) * keys + place, mask=inside, other=0)
            exponent = x * y * scale - tl.load(sums + p * anchors + anchor)
            total += tl.exp(exponent) * y * (scale * tl.load(slope + p * anchors + anchor))
    tl.store(out + own * keys + place, total, mask=inside)


def forward(a: Tensor, b: Tensor, pairs: Sequence[tuple[int, int]], scale: float) -> Tensor:
    """The sums of all rows of a (U, B, K), then those of the pairs with rows of b (S, B, K): (U + P, B)."""
    rows, anchors, keys = a.shape
    first, second = _sums(tuple(pairs), rows, a.device)
    out = a.new_empty(rows + len(pairs), anchors)
    with _on(a):
        forward_kernel[(len(out), anchors)](
            a, b, first, second, out, scale, anchors, keys, BLOCK=BLOCK, num_warps=WARPS
        )
    return out


def backward(
    a: Tensor,
    b: Tensor,
    both: bool,
    pairs: Sequence[tuple[int, int]],
    scale: float,
    sums: Tensor,
    slope: Tensor,
) -> Tensor:
    """Gradient of a (U, B, K), of gradients `slope` of the `sums` (U + P, B).

    Args:
        a, b, pairs, scale: see `forward`.
        both: whether b is a, whose rows then have a gradient as second factors, too.
        sums, slope: see above.
    """
    rows, anchors, keys = a.shape
    partner, number = _parts(tuple(pairs), rows, both, a.device)
    out = torch.empty_like(a)
    with _on(a):
        backward_kernel[(rows, triton.cdiv(keys, BLOCK), anchors)](
            a, b, partner, number, sums, slope, out, scale, rows, partner.shape[1], anchors, keys,
            BLOCK=BLOCK, num_warps=WARPS,
        )  # fmt: skip
    return out


@functools.cache
def _sums(pairs: tuple[tuple[int, int], ...], rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The two factors of each sum; −1 where there is no second."""
    both = [(row, -1) for row in range(rows)] + list(pairs)
    first, second = zip(*both, strict=True)
    return _numbers(first, device), _numbers(second, device)


@functools.cache
def _parts(
    pairs: tuple[tuple[int, int], ...], rows: int, both: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Of each row the other factors, and the numbers of the sums: (rows, most) each, filled up with −1."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(rows)]
    for p, (i, j) in enumerate(pairs):
        found[i].append((j, rows + p))
        if both:
            found[j].append((i, rows + p))
    most = max(1, *(len(one) for one in found)) if found else 1
    filled = [one + [(-1, -1)] * (most - len(one)) for one in found]
    partner = _numbers([[other for other, _ in one] for one in filled], device)
    return partner, _numbers([[p for _, p in one] for one in filled], device)


def _numbers(values: Any, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.int32, device=device)


def _on(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Launch where the tensor is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
