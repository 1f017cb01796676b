"""Learning rates of the recipes."""

import pytest

from mmcl.training.schedule import learning_rate

RECIPE = {
    "epochs": 110,
    "learning_rate": 0.1,
    "warmup_epochs": 5,
    "schedule": "steps",
    "steps": [90, 100],
    "decay": 0.1,
}


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.02), (3, 0.08), (4, 0.1), (5, 0.1), (89, 0.1), (90, 0.01), (99, 0.01), (100, 0.001), (109, 0.001)],
)
def test_warm_up_and_steps(epoch, rate):
    assert learning_rate(epoch, RECIPE) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.02), (5, 0.1), (40, 0.075), (57.5, 0.05), (75, 0.025)])
def test_cosine(epoch, rate):
    assert learning_rate(epoch, RECIPE | {"schedule": "cosine"}) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [(4, 0.1), (5, 0.1), (57.5, 0.05005), (110, 0.0001)])
def test_cosine_to_a_least_rate(epoch, rate):
    """HD-GCN's: 1e-4 + ½ (0.1 − 1e-4)(1 + cos)."""
    settings = RECIPE | {"schedule": "cosine", "min_rate": 0.001}
    assert learning_rate(epoch, settings) == pytest.approx(rate)


def test_no_warm_up():
    assert learning_rate(0, RECIPE | {"warmup_epochs": 0}) == 0.1
