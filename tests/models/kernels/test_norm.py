"""The kernel of batch normalisation, skip path and ReLU, against its plain form in float64."""

import copy

import pytest
import torch
from compiled import Form, compiled
from seeds import shifted
from torch import nn

from mmcl.models import kernels
from mmcl.models.kernels.norm import BatchNorm, batch_norm, plain
from mmcl.models.layers import ChannelNorm

LAYOUTS = [  # persons, joints, frames
    (1, 17, 13),
    (6, 20, 1),
    (2, 25, 64),
    (3, 33, 2),
    (1, 20, 300),
    (4, 2, 2),
]


def made(shape, dtype, skip):
    torch.manual_seed(shifted(0))
    norm = ChannelNorm(shape[0])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    spread, level = 0.5 + torch.rand(shape[0], 1, 1, 1), torch.randn(shape[0], 1, 1, 1)
    x = (torch.randn(shape) * spread + level).to(dtype)
    return norm, x, torch.randn(shape).to(dtype) if skip else None


def both(norm, x, skip, relu):
    """Result, gradients and buffers by the kernel, and by the plain form in float64."""
    exact = copy.deepcopy(norm).double()
    full = x.double(), None if skip is None else skip.double()
    with torch.no_grad():
        level = plain(full[0], copy.deepcopy(exact), full[1], relu=False)
    slope = torch.randn(x.shape).to(x.dtype)
    slope[level.abs() < 1e-3] = 0  # there the sign is rounding's
    every = []
    for module, inputs, form in ((norm, (x, skip), batch_norm), (exact, full, plain)):
        inputs = [None if part is None else part.clone().requires_grad_() for part in inputs]
        y = form(inputs[0], module, inputs[1], relu)
        wanted = [part for part in (*inputs, module.weight, module.bias) if part is not None]
        gradients = torch.autograd.grad(y, wanted, slope.to(y.dtype))
        every.append([y.detach(), *gradients, module.running_mean, module.running_var])
    assert norm.num_batches_tracked == exact.num_batches_tracked == 1
    return every


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("skip", [False, True], ids=["alone", "skip"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_plain_form(layout, dtype, skip, relu):
    norm, x, more = made((3, *layout), dtype, skip)
    found, expected = both(norm, x, more, relu)
    assert found[0].dtype is dtype
    for a, b in zip(found, expected, strict=True):
        assert kernels.apart(a, b) <= 1


def test_the_kernel_is_what_runs(monkeypatch):
    norm, x, _ = made((3, 2, 5, 4), torch.float32, skip=False)
    calls = []
    monkeypatch.setattr(BatchNorm, "apply", lambda *a: calls.append(a) or a[0])
    norm(x)
    norm.eval()(x)
    norm.train().double()(x.double())
    assert len(calls) == 1


def test_many_chunks_and_a_mean_far_from_zero():
    norm, x, _ = made((2, 1, 1, 150_001), torch.float32, skip=False)
    found, expected = both(norm, x + 1000, None, relu=True)
    torch.testing.assert_close(found[-1].double(), expected[-1], rtol=1e-5, atol=0)  # variance
    torch.testing.assert_close(found[0].double(), expected[0], rtol=0, atol=1e-3)


def test_skips_and_gradients_of_any_memory_order():
    norm, x, skip = made((4, 3, 5, 8), torch.float32, skip=True)
    other = skip.transpose(1, 3).contiguous().transpose(1, 3)
    wide = torch.cat([x, x])[:4]
    y = norm(wide.requires_grad_(), other, relu=True)
    (found,) = torch.autograd.grad(y.sum(), wide)
    norm.double()
    z = plain(exact := x.double().requires_grad_(), norm, skip.double(), relu=True)
    (expected,) = torch.autograd.grad(z.sum(), exact)
    assert kernels.apart(y.detach(), z.detach()) <= 1
    assert kernels.apart(found, expected) <= 1


def test_mixed_data_types_become_the_wider_one():
    norm, x, skip = made((3, 2, 5, 4), torch.float32, skip=True)
    x = x.bfloat16().requires_grad_()
    skip.requires_grad_()
    y = norm(x, skip, relu=True)
    assert y.dtype is torch.float32
    y.sum().backward()
    assert (x.grad.dtype, skip.grad.dtype) == (torch.bfloat16, torch.float32)


def test_what_is_kept_for_backward():
    norm, x, skip = made((3, 2, 5, 4), torch.float32, skip=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        norm(x.requires_grad_(), relu=True)
    assert sum(t.numel() for t in kept) == x.numel() + 4 * 3  # and γ, β, mean, 1/σ
    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = norm(x, skip, relu=True)
    assert sum(t.numel() for t in kept) == x.numel() + y.numel() + 4 * 3


def test_it_compiles_for_an_h100():
    """With 16-byte reads and without spilled registers."""
    moments = Form(
        "mmcl.models.kernels.triton_norm",
        "moments_kernel",
        {"x": "*bf16", "partial": "*fp32", **dict.fromkeys(("stride", "length", "tiles", "chunks"), "i32")},
        {"BLOCK": 2048},
        ["x", "stride", "length"],
    )
    pointers = dict.fromkeys(("x", "grad", "out", "masked"), "*bf16")
    small = dict.fromkeys(("partial", "weight", "bias", "moments"), "*fp32")
    counts = dict.fromkeys(("stride", "grad_stride", "length", "tiles", "chunks"), "i32")
    sums = Form(
        "mmcl.models.kernels.triton_norm",
        "sums_kernel",
        pointers | small | counts,
        {"FROM_X": False, "FROM_OUT": True, "BLOCK": 2048},
        ["x", "grad", "out", "masked", "stride", "grad_stride", "length"],
    )
    for use in compiled([moments, sums]):
        assert use["stack"] == use["local"] == 0
        assert use["reg"] <= 96
        assert "ld.global.v4.b32" in use["ptx"]
