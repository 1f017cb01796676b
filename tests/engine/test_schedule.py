"""Learning rates of the recipes."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.schedule import sgd_factor, steps_factor
from mmcl.settings.training import TrainSettings

RECIPE = {
    "epochs": 110,
    "learning_rate": 0.1,
    "warmup_epochs": 5,
    "schedule": "steps",
    "steps": [90, 100],
    "decay": 0.1,
}


def learning_rate(epoch, settings):
    settings = TrainSettings.model_validate(settings)
    return settings.learning_rate * sgd_factor(epoch, settings)


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


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_the_scheduler_sets_these_rates_to_the_last_bit(schedule):
    settings = TrainSettings.model_validate(RECIPE | {"schedule": schedule, "min_rate": 0.001})
    optimizer, scheduler, every_step, _ = build_optimizer(torch.nn.Linear(2, 2), settings, steps=3)
    assert isinstance(scheduler, LambdaLR)
    assert not every_step
    for epoch in range(110):
        assert optimizer.param_groups[0]["lr"] == settings.learning_rate * sgd_factor(epoch, settings)
        optimizer.step()
        scheduler.step()


def test_schedulers_of_torch_that_chain_their_rates_differ_in_the_last_bits():
    """Why the rates are computed from the epoch."""

    def rates(scheduler_of, epochs):
        optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
        scheduler = scheduler_of(optimizer)
        for _ in range(epochs):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()

    schedulers = torch.optim.lr_scheduler
    chained = [*rates(lambda o: schedulers.MultiStepLR(o, [1, 2, 3, 4, 5], 0.3), 7)]
    own = [0.1 * steps_factor(epoch, [1, 2, 3, 4, 5], 0.3) for epoch in range(7)]
    assert chained == pytest.approx(own, rel=1e-12)
    assert chained != own
    cosine = TrainSettings.model_validate({"schedule": "cosine", "warmup_epochs": 0, "epochs": 110})
    chained = [*rates(lambda o: schedulers.CosineAnnealingLR(o, 110), 110)]
    own = [0.1 * sgd_factor(epoch, cosine) for epoch in range(110)]
    assert chained == pytest.approx(own, rel=1e-9)
    assert chained != own
