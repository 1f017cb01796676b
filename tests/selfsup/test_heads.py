"""Linear classifiers of frozen features."""

import pytest
import torch
import torch.nn.functional as F
from seeds import shifted

from mmcl.errors import UserError
from mmcl.selfsup.heads import Best, Labelled, standardised, train_heads

SETTINGS = {
    "epochs": 20,
    "batch": 16,
    "learning_rate": 3.0,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "steps": [15],
    "decay": 0.1,
    "evaluate_every": 5,
}
CLASSES, WIDTH = 4, 8


def clips(count, encoders=3, noise=0.1, seed=0):
    """Each class lies around a point of its own."""
    generator = torch.Generator().manual_seed(shifted(seed))
    labels = torch.arange(count) % CLASSES
    centres = torch.randn(encoders, CLASSES, WIDTH, generator=torch.Generator().manual_seed(shifted(7)))
    features = centres[:, labels] + noise * torch.randn(encoders, count, WIDTH, generator=generator)
    return Labelled(features, labels)


def test_classes_that_a_plane_parts_are_all_found():
    for together in (False, True):
        logits, best = train_heads(clips(64), clips(40, seed=1), CLASSES, SETTINGS, shifted(1), together)
        assert logits.shape == (1 if together else 3, 40, CLASSES)
        assert (logits.argmax(2) == torch.arange(40) % CLASSES).all()
        assert best == [Best(5, 100.0)] * len(logits)


@pytest.mark.parametrize("together", [False, True])
def test_one_step_is_the_gradient_as_written(together):
    train, test = clips(16, noise=1.0), clips(12, seed=1)
    options = SETTINGS | {"epochs": 1, "learning_rate": 0.5}
    found, _ = train_heads(train, test, CLASSES, options, shifted(3), together)
    weight = 0.02 * torch.randn(3, CLASSES, WIDTH, generator=torch.Generator().manual_seed(shifted(3)))
    wanted = F.one_hot(train.labels, CLASSES).float()
    logits = torch.einsum("und,ucd->unc", train.features, weight)
    # d/dW_u of CE is (p − y)ᵀ h_u / N; through the mean of U logits it is one in U of that
    error = (logits.mean(0, keepdim=True).softmax(2) - wanted) / 3 if together else logits.softmax(2) - wanted
    weight = weight - 0.5 * torch.einsum("unc,und->ucd", error.expand(3, -1, -1), train.features) / 16
    bias = -0.5 * error.expand(3, -1, -1).mean(1)
    expected = torch.einsum("und,ucd->unc", test.features, weight) + bias[:, None]
    torch.testing.assert_close(found, expected.mean(0, keepdim=True) if together else expected)


def test_heads_apart_share_nothing():
    """What the first learns does not depend on what the others see; together it does."""
    train, test = clips(64, noise=1.5), clips(40, noise=1.5, seed=1)
    others, other_test = (
        part._replace(features=part.features[:1].expand(3, -1, -1)) for part in (train, test)
    )
    found, _ = train_heads(train, test, CLASSES, SETTINGS, shifted(1))
    same, _ = train_heads(others, other_test, CLASSES, SETTINGS, shifted(1))
    torch.testing.assert_close(found[0], same[0])
    assert (found[1] - same[1]).abs().max() > 0.1
    assert torch.equal(found, train_heads(train, test, CLASSES, SETTINGS, shifted(1))[0])
    assert not torch.equal(found, train_heads(train, test, CLASSES, SETTINGS, shifted(2))[0])


def test_the_best_epoch_is_told_beside_the_last():
    # so many encoders that the last epoch cannot be the best of all of them
    train = clips(32, encoders=16, noise=0.3)
    test = clips(40, encoders=16, noise=2.5, seed=1)
    options = SETTINGS | {"epochs": 12, "evaluate_every": 1, "learning_rate": 30.0}
    logits, best = train_heads(train, test, CLASSES, options, shifted(1))
    last = (logits.argmax(2) == test.labels).float().mean(1) * 100
    for number, one in enumerate(best):
        alone, _ = train_heads(
            train, test, CLASSES, options | {"epochs": one.epoch, "steps": [15]}, shifted(1)
        )
        assert round(float((alone[number].argmax(1) == test.labels).float().mean() * 100), 2) == one.top1
        assert one.top1 >= round(float(last[number]), 2)
    assert any(one.top1 > float(value) + 1 for one, value in zip(best, last, strict=True))


def test_a_rate_that_is_too_high_is_told():
    train = clips(32)._replace(features=clips(32).features * 1e20)
    with pytest.raises(UserError, match=r"lower selfsup\.probe\.learning_rate"):
        train_heads(train, clips(8), CLASSES, SETTINGS | {"learning_rate": 1e30}, 1)


def test_features_are_standardised_by_the_training_clips():
    train, test = clips(64), clips(40, seed=1)
    train.features[0, :, 2] = 5.0  # tells nothing
    moved = [part._replace(features=part.features * 1e-2 + 3) for part in (train, test)]
    a, b = standardised(*moved)
    # numbers around 3 that scatter by 0.01: their rounding is 300 times as large afterwards
    atol = 16 * torch.finfo().eps * 3 / 0.01
    torch.testing.assert_close(a.features.mean(1), torch.zeros(3, WIDTH), rtol=0, atol=atol)
    deviation = a.features.std(1, correction=0)
    assert deviation[0, 2] < 1e-3
    assert (deviation > 0.9).sum() == 3 * WIDTH - 1
    # the test clips by the same numbers: differences to a training clip keep their direction
    before = (moved[1].features[1, :, 0] - moved[0].features[1, 0, 0]) / moved[0].features[1, :, 0].std(
        correction=0
    )
    torch.testing.assert_close(b.features[1, :, 0] - a.features[1, 0, 0], before, rtol=0.01, atol=0.01)
    assert torch.equal(a.labels, train.labels)
    few = SETTINGS | {"epochs": 2}
    as_they_are, found = (train_heads(*pair, CLASSES, few, shifted(1))[0] for pair in (moved, (a, b)))
    share = [(one.argmax(2) == test.labels).float().mean() for one in (as_they_are, found)]
    assert share[1] > share[0] + 0.2
