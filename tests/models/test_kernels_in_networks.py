"""Every backbone with kernels trains like one without."""

import copy

import pytest
import torch
import torch.nn.functional as F
from networks import NAMES, away_from_start
from seeds import shifted
from torch import nn

from mmcl.models import build_backbone, kernels
from mmcl.models.kernels.norm import BatchNorm
from mmcl.models.kernels.product import Product
from mmcl.settings.tables import default_graph

WIDTHS = {"stgcn16": 0.25, "ctrgcn": 0.125, "infogcn": 0.125}


@pytest.fixture
def taken(monkeypatch):
    """Kernels are used, interpreted; the functions that were called."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    monkeypatch.setattr(kernels, "_interpreting", True)
    calls = []
    for function in (BatchNorm, Product):

        def apply(*arguments, function=function, before=function.apply):
            calls.append(function)
            return before(*arguments)

        monkeypatch.setattr(function, "apply", apply)
    return calls


def step(net, x, labels):
    """Loss, gradients and statistics."""
    torch.manual_seed(shifted(1))
    loss = F.cross_entropy(net(x), labels)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    return [loss.detach(), *gradients, *net.buffers()]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_that_of_the_plain_network(name, taken, monkeypatch):
    torch.manual_seed(shifted(0))
    net = build_backbone(name, 3, "utd20", 1, default_graph(name), width=WIDTHS.get(name, 0.0625))
    away_from_start(net).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    exact = copy.deepcopy(net).double()
    x, labels = torch.randn(3, 3, 8, 20, 1), torch.tensor([0, 1, 2])
    found = step(net, x, labels)
    assert set(taken) == {BatchNorm, Product}
    monkeypatch.setattr(kernels, "_interpreting", False)
    count = len(taken)
    expected = step(exact, x.double(), labels)
    assert len(taken) == count
    import sys
    for n, a, b in zip(["loss", *[k for k,_ in net.named_parameters()], *[k for k,_ in net.named_buffers()]], found, expected, strict=True):
        print(n, float((a.double()-b.double()).abs().max()/b.double().abs().max()), file=sys.stderr)
