"""Optimizers and their schedules."""

import pytest
import torch

from mmcl.engine.optimizers import RecordableSGD, build_optimizer
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


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_for_graphs_is_torchs(momentum, nesterov):
    if nesterov and not momentum:
        return
    options = {"lr": 0.1, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.01}
    torch.manual_seed(0)
    start = [torch.randn(3, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    sides = []
    for kind in (torch.optim.SGD, RecordableSGD):
        torch.manual_seed(1)
        parameters = [torch.nn.Parameter(value.clone()) for value in start]
        optimizer = kind(parameters, **options)
        rate = torch.tensor(0.1, dtype=torch.float64)
        for number in range(4):
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
            if number == 1:
                parameters[1].grad = None
            value = 0.1 / (number + 1)
            rate.fill_(value)
            optimizer.param_groups[0]["lr"] = value if kind is torch.optim.SGD else rate
            optimizer.step()
        sides.append((parameters, optimizer))
    (expected, theirs), (found, ours) = sides
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=0)
    # the state of one is the state of the other
    theirs.load_state_dict(ours.state_dict())
    assert theirs.state_dict()["state"].keys() == ours.state_dict()["state"].keys()


def test_a_state_goes_on_on_another_device():
    """AdamW's groups of a GPU say `capturable`, which a CPU does not take."""
    net = torch.nn.Linear(2, 2)
    optimizing = build_optimizer(net, SETTINGS, steps=10)
    net(torch.ones(1, 2)).sum().backward()
    optimizing.step()
    kept = optimizing.optimizer.state_dict()
    for group in kept["param_groups"]:
        group["capturable"] = True
    optimizing.load(kept, optimizing.scheduler.state_dict())
    assert [group["capturable"] for group in optimizing.optimizer.param_groups] == [False, False]
    optimizing.step()
