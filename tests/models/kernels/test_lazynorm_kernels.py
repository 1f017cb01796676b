"""The kernels of HD-GCN's stack of layers, against their plain forms in float64."""

import pytest
import torch
from compiled import Form, compiled
from seeds import shifted

from mmcl.models import kernels
from mmcl.models.kernels.lazynorm import Moments, WeightedSum, plain_moments, plain_sum, takes
from mmcl.models.lazynorm import LazyNorm, learned_sum

SHAPES = [  # layers, channels, frames, people, joints
    (2, 3, 13, 5, 17),
    (3, 2, 1, 16, 20),
    (1, 2, 64, 2, 25),
    (2, 1, 300, 1, 33),
    (1, 1, 2, 41, 25),
]


def drawn(shape, dtype):
    torch.manual_seed(shifted(0))
    layers, channels, _, people, _ = shape
    z = torch.randn(shape) + 2
    z[:, :, -1] = z[:, :, 0]  # two frames may share a maximum
    return [
        part.to(dtype) for part in (z, torch.randn(layers, channels, people), torch.randn(channels, people))
    ]


def both(dtype, function, plain, inputs):
    """Outputs and gradients of both forms; the second in float64."""
    every, slopes = [], None
    for form, full in ((function, dtype), (plain, torch.float64)):
        values = [part.to(full).requires_grad_() for part in inputs]
        outputs = form(*values)
        outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        slopes = slopes or [torch.randn_like(part) for part in outputs]
        grads = [slope.to(part.dtype) for slope, part in zip(slopes, outputs, strict=True)]
        every.append([*(part.detach() for part in outputs), *torch.autograd.grad(outputs, values, grads)])
    return every


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape, dtype):
    z = drawn(shape, dtype)[0]
    for a, b in zip(*both(dtype, Moments.apply, plain_moments, [z]), strict=True):
        assert kernels.apart(a, b) <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_sum(shape, dtype):
    for a, b in zip(*both(dtype, WeightedSum.apply, plain_sum, drawn(shape, dtype)), strict=True):
        assert kernels.apart(a, b) <= 1


def test_they_are_what_runs(monkeypatch):
    calls = []
    for function in (Moments, WeightedSum):
        before = function.apply
        monkeypatch.setattr(function, "apply", lambda *a, before=before: calls.append(before) or before(*a))
    z, weights, offset = drawn(SHAPES[0], torch.float32)
    assert takes(z)
    calls.clear()  # of the check at first use
    norm = LazyNorm(6)
    z, *_ = norm.of(z, torch.zeros(2, 3))
    learned_sum(z, weights, offset)
    assert len(calls) == 2
    assert not takes(z.double())
    assert not takes(z.transpose(3, 4))


def test_they_compile_for_an_h100():
    z, small = "*bf16", "*fp32"
    names = ["z", "of_z", "peaks", "of_peaks", "ties", "mean", "of_mean", "of_variance", "out"]
    types = [z, z, z, z, "*i32", small, small, small, z]
    sizes = {"frames": "i32", "columns": "i32", "tiles": "i32"}
    aligned = ["z", "of_z", "out", "columns"]
    module, constants = "mmcl.models.kernels.triton_lazynorm", {"FRAMES": 8, "BLOCK": 256}
    gradient = Form(
        module, "gradient_kernel", dict(zip(names, types, strict=True)) | sizes, constants, aligned
    )
    arguments = {"z": z, "peaks": z, "ties": "*i32", "partial": small, **sizes}
    forward = Form(module, "moments_kernel", arguments, constants, ["z", "columns"])
    for use in compiled([gradient, forward]):
        assert use["stack"] == use["local"] == 0
        assert use["reg"] <= 168
        assert use["shared"] <= 32_768
