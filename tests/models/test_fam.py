"""The contrastive loss."""

import json
import math

import golden
import numpy as np
import pytest
import torch

from mmcl.errors import UserError
from mmcl.models.fam import FAM, contrastive_loss


def made(seed, shape=(16, 256)):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32))


def test_grace_loss_equals_the_reference():
    expected = json.loads((golden.FOLDER / "mmcl_losses.json").read_text())["grace_tau0.4"]
    assert contrastive_loss(made(1), made(2), 0.4).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("negatives", ["grace", "eq6", "clip"])
def test_losses_as_written(negatives):
    """Sums of exponentials over named pairs, in plain numbers."""
    g, c = made(3, (5, 4)), made(4, (5, 4))

    def e(a, b):
        return math.exp(torch.cosine_similarity(a, b, dim=0).item() / 0.4)

    def one_way(u, v, i):
        below = sum(e(u[i], v[k]) for k in range(5))
        if negatives == "grace":
            below += sum(e(u[i], u[k]) for k in range(5) if k != i)
        if negatives == "eq6":
            below += sum(e(u[k], v[i]) for k in range(5) if k != i)
        return -math.log(e(u[i], v[i]) / below)

    expected = sum(0.5 * (one_way(g, c, i) + one_way(c, g, i)) for i in range(5)) / 5
    assert contrastive_loss(g, c, 0.4, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_clips_without_a_picture_take_no_part():
    torch.manual_seed(0)
    fam = FAM(6, 8)
    skeleton, picture = made(5, (6, 8)).requires_grad_(), made(6, (6, 6))
    mask = torch.tensor([True, False, True, True, False, True])
    loss = fam(skeleton, picture, mask)
    assert loss.item() == pytest.approx(
        fam(skeleton[mask], picture[mask], torch.ones(4, dtype=torch.bool)).item()
    )
    loss.backward()
    assert (skeleton.grad[~mask] == 0).all()
    assert (skeleton.grad[mask] != 0).any(1).all()


@pytest.mark.parametrize("pictures", [0, 1])
def test_nothing_to_contrast_is_zero(pictures):
    fam = FAM(6, 8)
    mask = torch.arange(4) < pictures
    assert fam(made(1, (4, 8)), made(2, (4, 6)), mask).item() == 0


def test_large_similarities_stay_finite():
    g = made(1, (4, 8))
    assert contrastive_loss(g, g, temperature=1e-3).isfinite()


def test_unknown_negatives():
    with pytest.raises(UserError, match="there are: grace, eq6, clip"):
        contrastive_loss(made(1), made(2), 0.4, "nce")
