"""The kernels of refined graph convolution, against the plain form in float64."""

import copy

import pytest
import torch
from compiled import Form, compiled
from seeds import shifted

from mmcl.models import kernels
from mmcl.models.ctrgcn import RefinedGraphConv as Unit
from mmcl.models.kernels import graph
from mmcl.models.kernels.graph import Parameters, RefinedGraphConv, plain, refined_graph_conv
from mmcl.models.layers import fold

NAMES = ["z", "x", *Parameters._fields]
LAYOUTS = [  # persons, joints, frames, channels in, out, R
    (2, 25, 64, 6, 32, 8),
    (1, 20, 13, 3, 16, 16),
    (3, 17, 2, 4, 48, 6),
    (1, 32, 1, 5, 16, 32),
    (1, 25, 300, 2, 16, 8),
]


@pytest.fixture(autouse=True)
def tf32(monkeypatch):
    """The precision in which kernels take float32; the interpreter does not round."""
    monkeypatch.setattr(kernels, "tensor_cores", lambda dtype: True)


def made(layout, kind):
    """x, parameters away from their start, and a gradient, with which that of α is not nearly zero by chance."""
    torch.manual_seed(shifted(0))
    count, joints, frames, inputs, outputs, rank = layout
    unit = Unit(inputs, outputs, torch.randn(3, joints, joints), rank)
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.25)
    x = torch.randn(inputs, count, joints, frames).to(kind)
    with torch.no_grad():
        z = plain(x.float(), unit.parts())
    return x, Parameters(*(part.detach() for part in unit.parts())), (torch.randn_like(z) + z).to(kind)


def results(form, x, parameters, slope):
    """z and the gradients of x and the parameters."""
    inputs = [part.clone().requires_grad_() for part in (x, *parameters)]
    z = form(inputs[0], Parameters(*inputs[1:]))
    return [z.detach(), *torch.autograd.grad(z, inputs, slope.to(z.dtype))]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_plain_form(layout, kind, monkeypatch):
    x, parameters, slope = made(layout, kind)
    calls = []
    apply = RefinedGraphConv.apply
    monkeypatch.setattr(RefinedGraphConv, "apply", lambda *a: calls.append(a) or apply(*a))
    monkeypatch.setattr(graph, "_error", lambda *form: 0.0)  # which is what is computed here
    found = results(refined_graph_conv, x, parameters, slope)
    assert len(calls) == 1
    assert [part.dtype for part in found] == [kind, kind] + 8 * [torch.float32]
    expected = results(plain, x.double(), [part.double() for part in parameters], slope.double())
    # some ten numbers are rounded to bfloat16 on the way to each gradient; in float32 sums are longer than in `apart`
    units = 8 if kind is torch.bfloat16 else 64
    errors = {
        name: kernels.apart(a.to(kind), b, units) for name, a, b in zip(NAMES, found, expected, strict=True)
    }
    assert max(errors.values()) <= 1, errors


def test_under_autocast_it_computes_in_bfloat16():
    x, parameters, slope = made((2, 20, 13, 3, 16, 8), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = results(refined_graph_conv, x, parameters, slope)
    assert [part.dtype for part in found] == [torch.bfloat16] + 9 * [torch.float32]
    expected = results(plain, x.double(), [part.double() for part in parameters], slope.double())
    for a, b in zip(found, expected, strict=True):
        assert kernels.apart(a.bfloat16(), b, 8) <= 1


def test_any_memory_order():
    x, parameters, slope = made((2, 5, 6, 4, 16, 8), torch.float32)
    expected = results(refined_graph_conv, x, parameters, slope)
    turned = [part.transpose(0, -1).contiguous().transpose(0, -1) for part in (x, *parameters, slope)]
    found = results(refined_graph_conv, turned[0], turned[1:-1], turned[-1])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_many_channels_are_cut_into_parts(monkeypatch):
    x, parameters, slope = made((1, 5, 6, 4, 80, 8), torch.float32)
    from mmcl.models.kernels import triton_graph

    cuts = []
    cut = triton_graph._chunks
    monkeypatch.setattr(triton_graph, "_chunks", lambda *a: cuts.append(cut(*a)) or cuts[-1])
    monkeypatch.setattr(triton_graph, "PROGRAMS", 9)  # 2 and twice 6 without a cut
    found = results(refined_graph_conv, x, parameters, slope)
    assert cuts[-3:] == [5, 2, 2]
    expected = results(plain, x.double(), [part.double() for part in parameters], slope.double())
    for a, b in zip(found, expected, strict=True):
        assert kernels.apart(a, b, 64) <= 1


@pytest.mark.parametrize("kept", [False, True])
def test_with_and_without_relations_in_shared_memory(kept, monkeypatch):
    x, parameters, slope = made((2, 25, 20, 3, 32, 16), torch.bfloat16)
    from mmcl.models.kernels import triton_graph

    monkeypatch.setattr(triton_graph, "_kept", lambda *a: kept)
    (found, *_), (expected, *_) = (
        results(refined_graph_conv, x, parameters, slope),
        results(plain, x.double(), [part.double() for part in parameters], slope.double()),
    )
    assert kernels.apart(found, expected, 8) <= 1


@pytest.mark.parametrize(
    "layout",
    [
        (1, 33, 4, 3, 16, 8),  # joints
        (1, 20, 4, 3, 24, 8),  # channels that are no multiple of 16
        (1, 20, 4, 3, 16, 64),  # R
    ],
)
def test_other_sizes_take_the_plain_form(layout, monkeypatch):
    x, parameters, _ = made(layout, torch.float32)
    monkeypatch.setattr(RefinedGraphConv, "apply", None)
    assert torch.equal(refined_graph_conv(x, parameters), plain(x, parameters))


def test_other_precisions_take_the_plain_form(monkeypatch):
    x, parameters, _ = made((1, 20, 4, 3, 16, 8), torch.float32)
    monkeypatch.setattr(RefinedGraphConv, "apply", None)
    refined_graph_conv(x.double(), Parameters(*(part.double() for part in parameters)))
    monkeypatch.setattr(kernels, "tensor_cores", lambda dtype: dtype is not torch.float32)
    refined_graph_conv(x, parameters)


def test_what_is_kept_for_backward(monkeypatch):
    monkeypatch.setattr(graph, "_error", lambda *form: 0.0)
    x, parameters, _ = made((2, 25, 8, 32, 64, 8), torch.bfloat16)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        refined_graph_conv(x, Parameters(*(part.requires_grad_() for part in parameters)))
    small = sum(part.numel() for part in parameters)
    small += parameters.value_weight.numel()  # in bfloat16
    embedded = (32 + 6 * 8) * 2 * 25  # the time mean, q and p
    assert sum(part.numel() for part in kept) == x.numel() + embedded + small


def test_the_check_of_a_kernel_passes():
    assert graph._error(torch.bfloat16, 8, 20, 13, torch.device("cpu")) <= 1


def test_it_compiles_for_an_h100():
    """NTU's last blocks: without spilled registers, and with products in tensor cores."""
    numbers = dict.fromkeys(("outputs", "people", "V", "T", "R"), "i32")
    low, full = "*bf16", "*fp32"
    units = {"embedded": low, "weight": full, "bias": full, "alpha": full, "graph": full}
    tile = {"B": 16, "RP": 16, "VP": 32, "TB": 32, "TF32": True}
    options = {"num_warps": 8, "num_stages": 1}
    module = "mmcl.models.kernels.triton_graph"
    pointers = {"values": low, "value_bias": full} | units | {"skip": low, "shift": full, "out": low}
    forms = [
        Form(
            module,
            "forward_kernel",
            pointers | numbers | {"scale": "fp32"},
            tile | {"U": 16, "KEEP": True, "SKIP": False},
            [*pointers, "outputs", "T", "R"],
            options,
        )
    ]
    pointers = {"grad": low} | units | {"of_values": low, "of_value_bias": full}
    forms.append(
        Form(
            module,
            "values_kernel",
            pointers | numbers,
            tile | {"W": 16, "STEPS": 1},
            [*pointers, "outputs", "T", "R"],
            options,
        )
    )
    names = ("of_rows", "of_columns", "of_graph", "of_weight", "of_bias")
    pointers = {"grad": low, "values": low, "value_bias": full}
    pointers |= {name: units[name] for name in ("embedded", "weight", "alpha")} | dict.fromkeys(names, full)
    forms.append(
        Form(
            module,
            "graphs_kernel",
            pointers | numbers,
            tile | {"W": 16, "STEPS": 1, "WARPS": 8},
            [*pointers, "outputs", "T", "R"],
            options,
        )
    )
    for use in compiled(forms):
        assert use["stack"] == use["local"] == 0
        assert use["shared"] <= 99 * 1024
        assert "mma.sync" in use["ptx"]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("inputs", [16, 3], ids=["same", "down"])
def test_for_inference_with_skip_path_and_relu(inputs, kind, monkeypatch):
    unit = Unit(inputs, 16, torch.randn(3, 20, 20), 8).eval()
    with torch.no_grad():
        for value in (*unit.parameters(), *unit.buffers()):
            if value.is_floating_point():
                value.copy_(0.5 + torch.rand_like(value) if value.dim() == 1 else torch.randn_like(value) / 3)
    x = torch.randn(inputs, 2, 20, 13).to(kind)
    with torch.no_grad():
        expected = copy.deepcopy(unit).double()(x.double())
        run = fold(unit).to(kind)
        calls = []
        monkeypatch.setattr(graph, "_folded", lambda *a, form=graph._folded: calls.append(a) or form(*a))
        found = run(x)
    assert any(call[0] is x for call in calls)  # others are the check
    assert found.dtype is kind
    assert kernels.apart(found, expected, 8 if kind is torch.bfloat16 else 64) <= 1
