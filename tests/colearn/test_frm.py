"""Refined scores."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from made_terms import batch
from made_terms import frm as make
from seeds import shifted
from torch import nn

from mmcl.colearn.learner import build_model
from mmcl.colearn.term import weights
from mmcl.settings.model import FrmSettings, StreamModelSettings


@pytest.mark.parametrize("matrices", ["diagonal", "full"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_equation_8(matrices, n):
    torch.manual_seed(shifted(0))
    frm = make(4, 6, n=n, matrices=matrices, input="hidden")
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


def test_hidden_states_alone_are_normalised():
    every = get_args(FrmSettings.model_fields["input"].annotation)
    normalised = [kind for kind in every if isinstance(make(4, 6, input=kind).norm, nn.LayerNorm)]
    assert normalised == ["hidden", "mean", "last", "shuffled", "shuffled_mean", "shuffled_last"]
    assert FrmSettings().input == "hidden"


@pytest.mark.parametrize(
    ("classes", "persons", "layout"), [(60, 2, "ntu25"), (10, 1, "ucla20"), (3, 1, "utd20")]
)
@pytest.mark.parametrize("matrices", ["diagonal", "full"])
def test_any_number_of_classes_and_persons(classes, persons, layout, matrices):
    """The released module holds 120 classes and two persons, whatever the data set."""
    torch.manual_seed(shifted(0))
    joints = 25 if layout == "ntu25" else 20
    refine = {"n": 2, "hidden": 4, "matrices": matrices, "input": "answer_ids", "detach": False}
    stated = {"backbone": "ctrgcn", "graph": "natural", "width": 0.125, "fam": {"hidden": 4}, "frm": refine}
    form = {"num_classes": classes, "layout": layout, "persons": persons}
    settings = StreamModelSettings.model_validate(stated)
    model = build_model(settings, **form, shapes={"picture": (5,), "answer": (3,)}, label_smoothing=0.0)
    labels = torch.tensor([0, classes - 1])
    ids = torch.tensor([[30522.0, 2748, 102], [30522, 2053, 102]])
    x = torch.randn(2, 3, 8, joints, persons)
    losses = model.losses(batch(x, labels, picture=torch.randn(2, 5), answer=ids))
    assert losses.terms["frm"].item() == pytest.approx(
        losses.terms["cls"].item(), rel=1e-5
    )  # the identity at first
    losses.total.backward()
    assert model.frm.matrices.grad.shape == (
        (2, classes) if matrices == "diagonal" else (2, classes, classes)
    )
    assert isinstance(model.frm.norm, nn.Identity)  # the ids go in as they are


def test_clips_without_an_answer_take_no_part():
    torch.manual_seed(shifted(0))
    frm = make(4, 6)
    scores, answer = torch.randn(5, 4, requires_grad=True), torch.randn(5, 6)
    labels, mask = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([True, False, True, False, True])
    loss = frm.refined_loss(scores, answer, weights(mask), labels)
    assert loss.item() == pytest.approx(F.cross_entropy(scores[mask], labels[mask]).item(), rel=1e-6)
    loss.backward()
    assert (scores.grad[~mask] == 0).all()
    assert (scores.grad[mask] != 0).all()
    nobody = weights(torch.zeros(5, dtype=torch.bool))
    assert frm.refined_loss(scores, answer, nobody, labels).item() == 0


@pytest.mark.parametrize("mask", [[1, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0] * 5, [1] * 5])
def test_the_mean_is_that_of_the_selected_clips(mask):
    """Loss and gradients, as if only the clips that have an answer were there."""
    torch.manual_seed(shifted(0))
    made, chosen = make(4, 6, input="hidden").double(), torch.tensor(mask, dtype=torch.bool)
    scores, answer = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    labels, found = torch.tensor([0, 1, 2, 3, 0]), []
    for rows, weight in ((torch.ones(5, dtype=torch.bool), weights(chosen).double()), (chosen, None)):
        own = scores.clone().requires_grad_()
        if rows.any():
            loss = made.refined_loss(own[rows], answer[rows], weight, labels[rows])
        else:
            loss = 0 * (own.sum() + sum(p.sum() for p in made.parameters()))
        found.append((loss, *torch.autograd.grad(loss, [own, *made.parameters()])))
    for all_clips, selected in zip(*found, strict=True):
        torch.testing.assert_close(all_clips, selected, rtol=1e-6, atol=1e-15)  # weights are float32


def test_detached_scores_get_no_gradient():
    frm = make(4, 6, detach=True)
    scores = torch.randn(5, 4, requires_grad=True)
    frm.refined_loss(scores, torch.randn(5, 6), None, torch.zeros(5, dtype=torch.long)).backward()
    assert scores.grad is None
    assert frm.matrices.grad.abs().sum() > 0
