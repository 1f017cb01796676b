import pytest
import torch

from mmcl.training.adamw import adamw

SETTINGS = {"learning_rate": 0.1, "weight_decay": 0.5, "epochs": 10, "warmup_epochs": 1}


def test_the_rate_warms_up_and_falls_to_zero():
    optimizer, schedule = adamw(torch.nn.Linear(2, 2), SETTINGS, steps=10)
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
    optimizer, _ = adamw(layer, SETTINGS, steps=1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # warm-up of one step: its rate is the full one
    torch.testing.assert_close(layer.weight, before[0] * (1 - 0.1 * 0.5))
    torch.testing.assert_close(layer.bias, before[1], rtol=0, atol=0)
