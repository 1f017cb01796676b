"""Every backbone with kernels trains like one without."""

import copy

import pytest
import torch
from networks import NAMES, away_from_start
from seeds import shifted
from torch import nn

from mmcl.models import build_backbone, kernels
from mmcl.models.kernels.lazynorm import Moments, WeightedSum
from mmcl.models.kernels.norm import BatchNorm
from mmcl.models.kernels.product import Product
from mmcl.settings.tables import default_graph

WIDTHS = {"stgcn16": 0.25, "ctrgcn": 0.125, "infogcn": 0.125}
BLOCKS = 5
"""The first ones: among them are all kinds, one with a stride too."""


@pytest.fixture
def taken(interpreted, monkeypatch):
    """Kernels are used; the functions that were called."""
    calls = []
    for function in (BatchNorm, Product, Moments, WeightedSum):

        def apply(*arguments, function=function, before=function.apply):
            calls.append(function)
            return before(*arguments)

        monkeypatch.setattr(function, "apply", apply)
    return calls


def step(net, x):
    """Loss, gradients and statistics, by name."""
    people = net.trunk(net.stem(x))
    loss = people.square().mean()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    statistics = {name: value for name, value in net.state_dict().items() if "running" in name}
    found = {"loss": loss.detach()} | gradients | statistics
    return {name: value.double() for name, value in found.items() if value is not None}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_that_of_the_plain_network(name, taken, monkeypatch):
    torch.manual_seed(shifted(0))
    net = build_backbone(name, 3, "utd20", 1, default_graph(name), width=WIDTHS.get(name, 0.0625))
    away_from_start(net).train()
    net.blocks = net.blocks[:BLOCKS]
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    plain, exact = copy.deepcopy(net), copy.deepcopy(net).double()
    x = torch.randn(2, 3, 8, 20, 1)
    found = step(net, x)
    assert set(taken) == {BatchNorm, Product} | ({Moments, WeightedSum} if name == "hdgcn" else set())
    taken.clear()
    monkeypatch.setattr(kernels, "_interpreting", False)
    usual, expected = step(plain, x), step(exact, x.double())
    assert not taken
    assert found.keys() == expected.keys()
    largest = max(value.norm() for entry, value in expected.items() if "running" not in entry)
    for entry, value in expected.items():
        # float32's own error tells how much is rounding; a bias in front of a norm has a gradient of rounding alone
        none = value.norm() < 1e-12 * largest
        permitted = 1e-6 * largest if none else 16 * (usual[entry] - value).norm() + 1e-4 * value.norm()
        assert (found[entry] - value).norm() <= permitted, entry
