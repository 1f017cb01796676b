"""Refined scores."""

import pytest
import torch
import torch.nn.functional as F

from mmcl.models.frm import FRM


@pytest.mark.parametrize("matrices", ["diagonal", "full"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_equation_8(matrices, n):
    torch.manual_seed(0)
    frm = FRM(4, 6, n=n, matrices=matrices, normalise=True)
    scores, answer = torch.randn(5, 4), torch.randn(5, 6)
    torch.testing.assert_close(frm.refine(scores, answer), scores)  # the identity at first
    torch.nn.init.normal_(frm.matrices)
    gates = frm.phi(F.layer_norm(answer, (6,))).softmax(1)
    assert gates.sum(1).tolist() == pytest.approx([1] * 5)
    whole = frm.matrices if matrices == "full" else torch.diag_embed(frm.matrices)
    expected = torch.stack(
        [sum(p[i] * whole[i] for i in range(n)) @ s for p, s in zip(gates, scores, strict=True)]
    )
    torch.testing.assert_close(frm.refine(scores, answer), expected)


def test_clips_without_an_answer_take_no_part():
    torch.manual_seed(0)
    frm = FRM(4, 6)
    scores, answer = torch.randn(5, 4, requires_grad=True), torch.randn(5, 6)
    labels, mask = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([True, False, True, False, True])
    loss = frm(scores, answer, labels, mask)
    assert loss.item() == pytest.approx(F.cross_entropy(scores[mask], labels[mask]).item(), rel=1e-6)
    loss.backward()
    assert (scores.grad[~mask] == 0).all()
    assert (scores.grad[mask] != 0).all()
    assert frm(scores, answer, labels, torch.zeros(5, dtype=torch.bool)).item() == 0


def test_detached_scores_get_no_gradient():
    frm = FRM(4, 6, detach=True)
    scores = torch.randn(5, 4, requires_grad=True)
    frm(
        scores, torch.randn(5, 6), torch.zeros(5, dtype=torch.long), torch.ones(5, dtype=torch.bool)
    ).backward()
    assert scores.grad is None
    assert frm.matrices.grad.abs().sum() > 0
