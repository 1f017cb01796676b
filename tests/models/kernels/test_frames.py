"""The kernels of a convolution over time, against their plain form in float64."""

import pytest
import torch
from compiled import Form, compiled
from seeds import shifted

from mmcl.models.kernels.frames import FrameProduct, frame_conv, largest_error, plain
from mmcl.models.shared_graph import FrameConv

LAYOUTS = [  # rows, frames
    (17, 13),
    (120, 1),
    (75, 2),
    (5, 64),
    (2, 300),
]
C = 16


pytestmark = pytest.mark.usefixtures("tf32")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [5, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_plain_form(layout, dtype, window, stride):
    torch.manual_seed(shifted(0))
    rows, frames = layout
    x, slope = (torch.randn(C, rows, t).to(dtype) for t in (frames, -(-frames // stride)))
    weight, bias = torch.randn(C, C, 1, window) / 9, torch.randn(C)

    def results(form, full):
        a, w, b = (part.to(full or part.dtype).requires_grad_() for part in (x, weight, bias))
        y = form(a, w, b, stride)
        return [y.detach(), *torch.autograd.grad(y, (a, w, b), slope.to(y.dtype))]

    found, expected = results(FrameProduct.apply, None), results(plain, torch.float64)
    assert found[0].dtype is dtype
    assert largest_error(dtype, found, expected) <= 1


def test_the_layer_under_autocast(monkeypatch):
    layer = FrameConv(C, 5, 2)
    x = torch.randn(C, 5, 3, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)  # with the check of the kernel
        calls = []
        apply = FrameProduct.apply
        monkeypatch.setattr(FrameProduct, "apply", lambda *a: calls.append(1) or apply(*a))
        y = layer(x)
    assert len(calls) == 1
    assert (y.shape, y.dtype) == ((C, 5, 3, 4), torch.bfloat16)
    y.sum().backward()
    assert {t.grad.dtype for t in (x, layer.weight, layer.bias)} == {torch.float32}
    assert layer.weight.grad.shape == layer.weight.shape


def test_what_no_kernel_takes(monkeypatch):
    monkeypatch.setattr(FrameProduct, "apply", lambda *a: pytest.fail("a kernel"))
    for channels, dtype in ((8, torch.float32), (128, torch.float32), (16, torch.float64)):
        layer = FrameConv(channels, 5).to(dtype)
        layer(torch.randn(channels, 1, 2, 3, dtype=dtype))
    torch.backends.cuda.matmul.allow_tf32 = False
    weight = torch.randn(C, C, 1, 5)
    frame_conv(torch.randn(C, 2, 3), weight, torch.zeros(C), 1)


def test_what_is_kept_for_backward():
    x, weight = torch.randn(C, 5, 9, requires_grad=True), torch.randn(C, C, 1, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        FrameProduct.apply(x, weight, torch.zeros(C), 1)
    assert sum(t.numel() for t in kept) == x.numel() + weight.numel()


def test_they_compile_for_an_h100():
    """Without spilled registers, and in a part of the memory on chip."""
    place, counts = "mmcl.models.kernels.triton_frames", dict.fromkeys(("rows", "frames", "kept"), "i32")
    constants = {"K": 9, "Q": 64, "STRIDE": 1, "ALIGNED": True, "TF32": False}
    known = {
        "forward_kernel": ({"x": "*bf16", "weight": "*bf16", "bias": "*fp32", "out": "*bf16"}, 64),
        "backward_kernel": (dict.fromkeys(("grad", "weight", "of_x"), "*bf16"), 32),
        "weight_kernel": ({"grad": "*bf16", "x": "*bf16", "partial": "*fp32"}, 32),
    }
    options = {"num_warps": 8, "num_stages": 1}
    forms = [
        Form(place, name, pointers | counts, constants | {"BLOCK": block}, list(pointers), options)
        for name, (pointers, block) in known.items()
    ]
    for use in compiled(forms):
        assert use["stack"] == use["local"] == 0
        assert use["shared"] <= 100_000
