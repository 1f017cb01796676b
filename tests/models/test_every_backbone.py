"""What every backbone does, whatever it is made of."""

import pytest
import torch
from made_terms import batch, fam, frm
from networks import NAMES, small
from seeds import shifted

from mmcl.colearn.learner import CoLearner
from mmcl.models import build_backbone
from mmcl.settings.tables import default_graph


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_of_co_learning_lower_the_loss(name, mixed):
    torch.manual_seed(shifted(0))
    backbone = build_backbone(name, 3, "utd20", 2, default_graph(name), width=0.25)
    net = CoLearner(backbone, [fam(12, backbone.feature_dim, hidden=16), frm(3, 6)], 0.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.003, 0.9)  # at 0.01 some first weights diverge
    x, labels = torch.randn(6, 3, 8, 20, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    picture, answer = torch.randn(6, 12), torch.randn(6, 6)
    there = torch.tensor([True, True, True, True, False, True])
    clips = batch(x, labels, picture, there, answer, there)
    totals = []
    for _ in range(50):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses = net.losses(clips)
        # learned to the end, they may come to zero
        assert totals or min(losses.terms["fam"], losses.terms["frm"]) > 0
        losses.total.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
        totals.append(losses.total.item())
    assert sum(totals[-3:]) / sum(totals[:3]) < 0.9


@pytest.mark.parametrize("name", ["ctrgcn", "ctrs", "stgcn16"])
def test_a_program_for_any_number_of_clips(name):
    net = small(name)
    torch.manual_seed(shifted(0))
    x, more = torch.randn(2, 3, 8, 20, 2), torch.randn(5, 3, 8, 20, 2)
    clips = torch.export.Dim("clips", min=1, max=64)
    program = torch.export.export(net, (x,), dynamic_shapes=({0: clips},)).module()
    torch.testing.assert_close(program(more), net(more))
