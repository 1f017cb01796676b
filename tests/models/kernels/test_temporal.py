"""The kernels of the multi-scale temporal unit, against their plain form in float64."""

import copy

import pytest
import torch
from compiled import Form, compiled
from seeds import shifted
from torch import nn

from mmcl.models import kernels
from mmcl.models.kernels import norm as norms
from mmcl.models.kernels import temporal
from mmcl.models.kernels.frames import largest_error
from mmcl.models.layers import ChannelNorm, FoldedTemporal, MultiScaleTemporal, fold

LAYOUTS = [  # people, joints, frames
    (1, 17, 13),
    (6, 20, 1),
    (3, 25, 2),
    (1, 5, 64),
    (1, 33, 5),
    (1, 2, 300),
]
DTYPES = [torch.float32, torch.bfloat16]
Q = 16


pytestmark = pytest.mark.usefixtures("tf32")


def made(layout, dtype, stride, quarter=Q):
    """r (4Q, L, T), a norm, weights and biases, and a gradient of the result."""
    torch.manual_seed(shifted(0))
    people, joints, frames = layout
    rows = people * joints
    # whole numbers: the place of a maximum and the sign before ReLU do not depend on rounding
    r = torch.randint(-64, 64, (4 * quarter, rows, frames)).to(dtype)
    norm = ChannelNorm(3 * quarter, 1, 0.1)
    nn.init.normal_(norm.bias, 0, 0.1)
    convs = [torch.randn(quarter, quarter, 1, 5) / 9, torch.randn(quarter)]
    convs += [torch.randn(quarter, quarter, 1, 5) / 9, torch.randn(quarter)]
    return r, norm, convs, torch.randn(4 * quarter, rows, -(-frames // stride)).to(dtype)


def exactly(r, norm, convs, stride):
    three = norm.num_features
    moving = norms.plain(r[:three], norm, None, relu=True)
    return temporal.plain(moving, r[three:, :, ::stride], tuple(convs), stride)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_plain_form(layout, dtype, stride):
    r, norm, convs, slope = made(layout, dtype, stride)
    exact = copy.deepcopy(norm).double()
    x, weights = r.clone().requires_grad_(), [t.clone().requires_grad_() for t in convs]
    y = temporal.Branches.apply(x, norm.weight, norm.bias, *weights, norm, stride)
    assert y.dtype is dtype
    found = torch.autograd.grad(y, [x, norm.weight, norm.bias, *weights], slope)
    x, weights = r.double().requires_grad_(), [t.double().requires_grad_() for t in convs]
    z = exactly(x, exact, weights, stride)
    expected = torch.autograd.grad(z, [x, exact.weight, exact.bias, *weights], slope.double())
    found = [y.detach(), *found, norm.running_mean, norm.running_var]
    expected = [z.detach(), *expected, exact.running_mean, exact.running_var]
    assert largest_error(dtype, found, expected) <= 1
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_values_give_their_gradient_to_the_first(dtype):
    r, norm, convs, slope = made((2, 5, 9), dtype, 1)
    r = (r % 3).requires_grad_()  # most maxima are there twice
    (found,) = torch.autograd.grad(
        temporal.Branches.apply(r, norm.weight, norm.bias, *convs, norm, 1), r, slope
    )
    x = r.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(
        exactly(x, norm.double(), [t.double() for t in convs], 1), x, slope.double()
    )
    assert largest_error(dtype, [found], [expected]) <= 1


@pytest.mark.parametrize("skip", [False, True], ids=["alone", "skip"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_folded_norms(dtype, stride, skip):
    torch.manual_seed(shifted(0))
    unit = MultiScaleTemporal(4 * Q, stride).eval()
    for name, value in unit.state_dict().items():
        if "num_batches" not in name:
            value.copy_(torch.randn_like(value) * 0.1 + ("running_var" in name or "norm.weight" in name))
    exact = copy.deepcopy(unit).double()
    x = torch.randn(4 * Q, 3, 7, 13)
    more = torch.randn(4 * Q, 3, 7, -(-13 // stride)) if skip else None
    folded = fold(nn.Sequential(unit))[0]
    assert isinstance(folded, FoldedTemporal)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            found = folded(x, None if more is None else more.to(dtype), relu=skip)
        expected = exact(x.double(), None if more is None else more.double(), relu=skip)
    assert found.dtype is dtype
    assert largest_error(dtype, [found], [expected]) <= 1


@pytest.mark.parametrize("stride", [1, 2])
def test_the_unit_and_its_gradients(stride, monkeypatch):
    torch.manual_seed(shifted(0))
    unit = MultiScaleTemporal(4 * Q, stride)
    x, skip = torch.randn(4 * Q, 2, 5, 7), torch.randn(4 * Q, 2, 5, -(-7 // stride))
    exact = copy.deepcopy(unit).double()

    def results(unit, full):
        inputs = [part.to(full).requires_grad_() for part in (x, skip)]
        y = unit(*inputs, relu=True)
        every = [*inputs, *unit.parameters()]
        return [y.detach(), *torch.autograd.grad(y.square().sum(), every)]

    assert temporal.trained(x, 4 * Q, unit.reduce_norm, stride)  # the check itself makes a call
    calls = []
    apply = temporal.Branches.apply
    monkeypatch.setattr(temporal.Branches, "apply", lambda *a: calls.append(1) or apply(*a))
    found, expected = results(unit, torch.float32), results(exact, torch.float64)
    assert len(calls) == 1
    names = ["y", "x", "skip", *dict(unit.named_parameters())]
    scale = max(t.abs().max() for t in expected)
    for name, a, b in zip(names, found, expected, strict=True):
        # a bias in front of a norm has no effect: what is left of its gradient is rounding
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-5 * scale, msg=name)


def test_under_autocast_the_product_decides():
    unit = MultiScaleTemporal(4 * Q)
    x = torch.randn(4 * Q, 1, 5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        y = unit(x)
    assert y.dtype is torch.bfloat16
    y.sum().backward()
    assert all(p.grad.dtype is torch.float32 for p in unit.parameters())


def test_what_no_kernel_takes(monkeypatch):
    x, norm = torch.randn(4 * Q, 1, 5, 7), ChannelNorm(3 * Q)
    assert temporal.trained(x, 4 * Q, norm, 1)
    assert not temporal.trained(x, 4 * Q, norm.eval(), 1)
    norm.train()
    assert not temporal.trained(x, 2 * Q, norm, 1)
    assert not temporal.trained(x.double(), 4 * Q, norm, 1)
    assert not temporal.inferred(x, 4 * Q, 1)  # which has no gradients
    torch.backends.cuda.matmul.allow_tf32 = False
    assert not temporal.trained(x, 4 * Q, norm, 1)  # exact products of float32 are slow on tensor cores
    monkeypatch.setenv(kernels.VARIABLE, "plain")
    assert not temporal.trained(x.bfloat16(), 4 * Q, norm, 1)


def test_what_is_kept_for_backward():
    r, norm, convs, _ = made((2, 5, 9), torch.float32, 1)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        temporal.Branches.apply(r.requires_grad_(), norm.weight, norm.bias, *convs, norm, 1)
    assert sum(t.numel() for t in kept) == r.numel() + 4 * 3 * Q + sum(t.numel() for t in convs)


def test_they_compile_for_an_h100():
    """Without spilled registers, and in a part of the memory on chip."""
    place, counts = "mmcl.models.kernels.triton_temporal", dict.fromkeys(("rows", "frames", "kept"), "i32")
    channels = dict.fromkeys(("mean", "rstd", "gamma", "beta"), "*fp32")
    constants = {"Q": 64, "STRIDE": 1, "BLOCK": 32, "ALIGNED": True, "TF32": False}
    known = {
        "forward_kernel": (
            {"r": "*bf16"} | channels | {"weight": "*bf16"}
            | dict.fromkeys(("bias_0", "bias_1", "peak_scale", "peak_shift"), "*fp32")
            | dict.fromkeys(("skip", "out"), "*bf16"),
            {"NORM": True, "SKIP": False, "RELU": False},
        ),
        "backward_kernel": (
            dict.fromkeys(("grad", "r"), "*bf16") | channels
            | {"weight": "*bf16", "of_r": "*bf16", "sums": "*fp32"},
            {},
        ),
        "weight_kernel": (
            dict.fromkeys(("grad", "r"), "*bf16") | channels | {"partial": "*fp32"},
            {},
        ),
    }  # fmt: skip
    options = {"num_warps": 8, "num_stages": 1}
    forms = [
        Form(place, name, pointers | counts, constants | more, list(pointers), options)
        for name, (pointers, more) in known.items()
    ]
    for use in compiled(forms):
        assert use["stack"] == use["local"] == 0
        assert use["shared"] <= 100_000
