"""The losses against the same losses written out (naive.py), values and gradients."""

import math

import naive
import pytest
import torch
import torch.nn.functional as F
from seeds import shifted

from mmcl.errors import UserError
from mmcl.selfsup import losses, sums

B, D, K = 5, 8, 40


def unit(*shape, dim=-1, seed=0):
    generator = torch.Generator().manual_seed(shifted(seed))
    return F.normalize(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=dim)


def made(modalities, students=None):
    """Anchors (joint ones for `students`), keys and memory."""
    wide = students is not None
    anchors = unit(students or modalities, B, D * modalities if wide else D, seed=1)
    return anchors.requires_grad_(), unit(modalities, B, D, seed=2), unit(modalities, D, K, dim=1, seed=3)


def compare(name, arguments, **options):
    """Both forms give the same losses, and the same gradients of an uneven sum of them."""
    found = getattr(losses, name)(*arguments, temperature=0.1, **options)
    expected = getattr(naive, name)(*arguments, temperature=0.1, **options)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    weights = torch.arange(1, len(found) + 1, dtype=torch.float64)
    gradients = [torch.autograd.grad((loss * weights).sum(), arguments[0])[0] for loss in (found, expected)]
    assert gradients[1].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)
    return found


@pytest.fixture(params=[K, 2**17])
def _few_at_a_time(request, monkeypatch):
    """One anchor at a time, as with a long memory, and all at once."""
    monkeypatch.setattr(sums, "CACHED", request.param)


@pytest.mark.usefixtures("_few_at_a_time")
@pytest.mark.parametrize("modalities", [1, 3])
def test_info_nce(modalities):
    compare("info_nce", made(modalities))


@pytest.mark.usefixtures("_few_at_a_time")
@pytest.mark.parametrize("modalities", [2, 3, 6])
@pytest.mark.parametrize("options", [{}, {"topk": 3}, {"context": False}, {"detach_other": True}])
def test_knowledge_mining(modalities, options):
    compare("knowledge_mining", made(modalities), **options)


def test_detached_modalities_get_no_gradient_of_the_others():
    q, k, memory = made(3)
    for detached in (True, False):
        loss = losses.knowledge_mining(q, k, memory, detach_other=detached)[0]
        (gradient,) = torch.autograd.grad(loss, q)
        assert gradient[0].abs().max() > 0
        assert bool(gradient[1:].any()) is not detached


@pytest.mark.parametrize("modalities", [3, 6])
def test_joint_embedding(modalities):
    compare("joint_embedding", made(modalities, modalities))


@pytest.mark.parametrize("students", [1, 3])
@pytest.mark.parametrize("options", [{}, {"topk": 2}, {"compared_with": torch.tensor([0, 1, 2, 3, 4, 2])}])
def test_relational(students, options):
    compare("relational", made(6, students), **options)


def test_an_anchor_that_equals_its_key_alone_loses_nothing():
    """With everything orthogonal to the anchor but its key, L = log(1 + K e^{−1/τ})."""
    anchor, memory = torch.zeros(1, 1, 2), torch.zeros(1, 2, K)
    anchor[..., 0], memory[:, 1] = 1, 1
    found = losses.info_nce(anchor, anchor, memory, temperature=0.5)
    assert found.item() == pytest.approx(math.log1p(K * math.exp(-2)), rel=1e-6)


def test_losses_of_random_embeddings_are_as_large_as_memory():
    """log of the number of logits, as the similarities of random embeddings are near zero."""
    q, k, memory = unit(2, 4, 128, seed=1), unit(2, 4, 128, seed=2), unit(2, 128, 2048, dim=1, seed=3)
    assert losses.info_nce(q, k, memory, 1.0).mean().item() == pytest.approx(math.log(2049), abs=0.2)
    mined = losses.knowledge_mining(q, k, memory, 1.0).mean().item()
    assert mined == pytest.approx(math.log(1 + 2 * 2048), abs=0.4)


def test_similarities_near_one_do_not_overflow():
    q = torch.ones(2, 1, 4) / 2
    memory = q.transpose(1, 2).expand(2, 4, 16)
    for name in ("info_nce", "knowledge_mining"):
        found = getattr(losses, name)(q, q, memory, temperature=0.001)
        terms = 17 if name == "info_nce" else 33
        torch.testing.assert_close(found, torch.full((2,), math.log(terms)), rtol=0, atol=1e-3)


def test_one_modality_has_nobody_to_learn_from():
    with pytest.raises(UserError, match="at least two"):
        losses.knowledge_mining(*made(1))
