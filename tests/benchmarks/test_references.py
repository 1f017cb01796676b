"""The plain networks that GPU benchmarks measure against are the networks of the package."""

import pytest
import torch
from gpu_rows.training import REFERENCES
from reference_fam import grace
from reference_ikem import ReferenceIKEM
from reference_infogcn import auxiliary_loss
from reference_layers import randomised
from torch import nn

from mmcl.checkpoints import load_reference, reference_state
from mmcl.colearn.fam import contrastive_loss
from mmcl.models import build_backbone
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.names import MODALITIES
from mmcl.selfsup.pretrainer import EXCHANGE, Pretrainer
from mmcl.settings.selfsup import PretrainingSettings
from mmcl.settings.tables import default_graph


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("training", [False, True])
def test_logits_equal_those_of_the_package(name, training):
    """In float64, with the same weights; in training with the batch's statistics, and with gradients."""
    reference = randomised(REFERENCES[name](5, width=0.25))
    net = build_backbone(name, 5, graph=default_graph(name), width=0.25)
    load_reference(net, reference.state_dict())
    for own in (reference, net):
        own.double().train(training)
        for module in own.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
    x = torch.randn(3, 3, 12, 25, 2, dtype=torch.float64)
    found = []
    for own in (reference, net):
        torch.manual_seed(1)  # of InfoGCN's noise
        given = x.clone().requires_grad_()
        logits = own(given)
        logits.square().sum().backward()
        found.append((logits.detach(), given.grad))
    (expected, slope), (logits, own_slope) = found
    # within what tells clips apart; graphs are kept in float32, so that their thirds have seven digits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3 * expected.std(0).mean().item())
    torch.testing.assert_close(own_slope, slope, rtol=1e-4, atol=1e-5 * slope.abs().max().item())


def test_auxiliary_loss_of_infogcn():
    net = build_backbone("infogcn", 5, width=0.25)
    z, labels = torch.randn(6, net.feature_dim), torch.tensor([0, 0, 1, 3, 3, 3])
    torch.testing.assert_close(auxiliary_loss(z, labels, net.prior), net.auxiliary_loss(z, labels))


def test_a_step_of_ikem():
    """In float64: loss, gradients, key encoders and memory."""
    torch.manual_seed(0)
    form = EncoderForm(layout="ntu25", persons=2, width=0.25)
    settings = PretrainingSettings(memory=16, batch=4, dim=8)
    reference, net = ReferenceIKEM(8, 16, width=0.25), Pretrainer(settings, form)
    for part in reference.children():
        randomised(part)
    load_reference(net, reference.state_dict())
    net.enter(EXCHANGE)
    for own in (reference, net):
        own.double().train()
        for module in own.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
    first, second = (
        {name: torch.randn(4, 3, 12, 25, 2, dtype=torch.float64) for name in MODALITIES} for _ in range(2)
    )
    expected, keys = reference(first, second)
    losses = net(first, second)
    torch.testing.assert_close(losses.total, expected)
    for own, loss in ((reference, expected), (net, losses.total)):
        loss.backward()
        torch.optim.SGD([p for p in own.parameters() if p.requires_grad], 0.1).step()
    reference.advance(keys)
    net.advance(losses.carry)
    state = reference.state_dict()
    for name, value in reference_state(net).items():
        # the graph's thirds have seven digits
        torch.testing.assert_close(value.double(), state[name].double(), rtol=1e-5, atol=1e-6, msg=name)


def test_the_contrast_of_fam():
    g, c = torch.randn(6, 8), torch.randn(6, 8)
    torch.testing.assert_close(grace(g, c, 0.4), contrastive_loss(g, c, 0.4, "grace"))
