"""Optimizers and their schedules."""

import pytest
import torch

from mmcl.engine.optimizers import build_optimizer
from mmcl.settings.training import AdamWSettings, SgdSettings, TrainSettings

SETTINGS = AdamWSettings(learning_rate=0.1, weight_decay=0.5, epochs=10, warmup_epochs=1)


def test_the_rate_warms_up_and_falls_to_zero():
    optimizer, schedule, every_step, _ = build_optimizer(torch.nn.Linear(2, 2), SETTINGS, steps=10)
    assert every_step
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[55] == pytest.approx(0.05)
    assert rates[-1] < 1e-4


def test_matrices_alone_decay():
    layer = torch.nn.Linear(2, 2)
    before = [layer.weight.detach().clone(), layer.bias.detach().clone()]
    optimizer, *_ = build_optimizer(layer, SETTINGS, steps=1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # warm-up of one step: its rate is the full one
    torch.testing.assert_close(layer.weight, before[0] * (1 - 0.1 * 0.5))
    torch.testing.assert_close(layer.bias, before[1], rtol=0, atol=0)


def test_nesterov_momentum_is_for_streams():
    net = torch.nn.Linear(2, 2)
    common = {"epochs": 2, "batch": 4, "momentum": 0.8, "weight_decay": 0.1, "steps": [1]}
    for model, nesterov in ((SgdSettings, False), (TrainSettings, True)):
        optimizer, *_ = build_optimizer(net, model.model_validate(common), steps=3)
        group = optimizer.param_groups[0]
        assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.8, 0.1, nesterov)
