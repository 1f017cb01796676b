"""Networks for inference with kernels, interpreted, against those without."""

import pytest
import torch
from networks import NAMES, away_from_start
from torch import nn

from mmcl.models import build_backbone, kernels
from mmcl.models.inference import Inference
from mmcl.models.kernels import frames, temporal
from mmcl.precision import products
from mmcl.settings.tables import default_graph

BLOCKS = (0, 1, 4)
"""The first, one that keeps the shape, one with a stride; of InfoGCN the one with a stride is number 3."""


pytestmark = pytest.mark.usefixtures("interpreted")


def network(name):
    """Three blocks at full width, as kernels take no narrower ones."""
    net = build_backbone(name, 3, "utd20", 2, default_graph(name), width=1.0)
    own = (0, 1, 3) if name == "infogcn" else BLOCKS
    net.blocks = nn.ModuleList(net.blocks[number] for number in own)
    width = {"stgcn16": 32}.get(name, 128)
    net.head = nn.Linear(width, 3)
    for layer in ("fc", "mean"):
        if hasattr(net, layer):
            setattr(net, layer, nn.Linear(width, width))
    return away_from_start(net)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_they_give_what_the_plain_network_gives(name, dtype, monkeypatch):
    calls = []
    for module, form in ((temporal, "folded"), (frames, "FrameProduct")):
        before = getattr(module, form)
        counted = before.apply if form == "FrameProduct" else before

        def count(*arguments, counted=counted, form=form, **options):
            calls.append(form)
            return counted(*arguments, **options)

        monkeypatch.setattr(*((before, "apply") if form == "FrameProduct" else (module, form)), count)
    net = network(name)
    x = 0.3 * torch.randn(2, 3, 5, 20, 2)
    x[1, ..., 1] = 0
    run, exact = Inference(net, dtype), Inference(net.double())
    expected = exact(x.double())
    with torch.inference_mode(), products(tf32=True):  # rounds nothing on a CPU
        run(x)
        calls.clear()  # of the checks
        found = run(x)
        used = len(calls)
        monkeypatch.setattr(kernels, "_interpreting", False)
        usual = run(x)
    assert used
    assert len(calls) == used
    errors = [(other.double() - expected).norm() / expected.norm() for other in (found, usual)]
    assert errors[0] <= 2 * errors[1] + (1e-5 if dtype is None else 2**-8)


def test_a_check_in_inference_mode_has_gradients():
    """Networks for inference run in this mode, and what fails its check there would never be used."""
    with torch.inference_mode():
        assert kernels.trusted("in inference mode", "a", lambda: float(_gradient()))


def _gradient():
    x = torch.zeros(1, requires_grad=True)
    (x * x).sum().backward()
    return x.grad
