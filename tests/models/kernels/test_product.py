"""1×1 convolutions whose weight gradient is summed in parts, against the plain product in float64."""

import pytest
import torch
from seeds import shifted

from mmcl.models import kernels
from mmcl.models.kernels.product import ALIGNED, SHORTEST, Product, over_columns, parts, plain, product
from mmcl.models.layers import PointConv

SHAPES = [  # rows, columns, length
    (192, 64, 640_000),
    (768, 256, 160_000),
    (16, 3, 16_640),
    (24, 5, 33 * 7 * 13),
    (64, 64, 100_003),
    (8, 8, 1),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("multiprocessors", [1, 132])
def test_parts_leave_less_than_one_over(shape, multiprocessors):
    count, size = parts(*shape, multiprocessors)
    assert 0 <= shape[2] - count * size < size
    if count > 1:
        assert size % ALIGNED == 0
        assert size > SHORTEST - ALIGNED


def test_there_is_work_for_all_multiprocessors():
    assert parts(192, 64, 640_000, 132) == (128, 5000)  # times two tiles
    assert parts(768, 256, 160_000, 132) == (20, 8000)  # times twelve


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("many", [0, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_plain_form(dtype, many, last):
    torch.manual_seed(shifted(0))
    first, length = [many] if many else [], 4133
    x = torch.randn(*first, *((length, 6) if last else (6, length))).to(dtype)
    weight = torch.randn(*first, 5, 6)
    bias = None if many else torch.randn(5)
    slope = torch.randn(*first, *((length, 5) if last else (5, length))).to(dtype)
    every = []
    for form, full in ((product, None), (plain, torch.float64)):
        values = [part.to(full or part.dtype) if part is not None else None for part in (x, weight, bias)]
        # what autocast would do
        values[1:] = [None if v is None else v.to(dtype).to(full or v.dtype) for v in values[1:]]
        inputs = [None if v is None else v.requires_grad_() for v in values]
        with torch.autocast("cpu", torch.bfloat16, enabled=full is None and dtype is torch.bfloat16):
            y = form(*inputs, last=last)
        wanted = [part for part in inputs if part is not None]
        every.append([y.detach(), *torch.autograd.grad(y, wanted, slope.to(y.dtype))])
    found, expected = every
    assert [part.dtype for part in found] == [dtype, dtype] + [torch.float32] * (len(found) - 2)
    for a, b in zip(found, expected, strict=True):
        assert kernels.apart(a, b, 64 if a.dtype is torch.float32 else 4) <= 1


def test_any_memory_order():
    torch.manual_seed(shifted(0))
    a, b = torch.randn(3000, 4).T, torch.randn(5, 6000)[:, ::2]
    for rows in (a, a[:1].expand(4, -1)):
        assert kernels.apart(over_columns(rows, b), rows.double() @ b.T.double()) <= 1


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "bf16"])
def test_only_one_copy_of_the_input_is_kept(mixed):
    conv = PointConv(3, 4)
    x = torch.randn(3, 2, 5, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        conv(x)  # with the check at first use
    kept = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        y = conv(x)
    dtype = torch.bfloat16 if mixed else torch.float32
    assert y.dtype is dtype
    assert [(part.dtype, part.numel()) for part in kept] == [(dtype, x.numel()), (dtype, 12)]


def test_without_gradients_the_product_is_plain(monkeypatch):
    monkeypatch.setattr(Product, "apply", None)
    conv, x = PointConv(3, 4), torch.randn(3, 7)
    with torch.no_grad():
        conv(x)
    conv.requires_grad_(False)(x.requires_grad_())
