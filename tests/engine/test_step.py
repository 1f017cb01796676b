"""A step of a training: as a graph and without, and in parts."""

import logging
from functools import partial
from typing import NamedTuple

import pytest
import torch
from taped import TapedGraphs, state_of
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from mmcl.engine import loop
from mmcl.engine import step as steps
from mmcl.engine.graphs import graphs_of
from mmcl.engine.leaves import form, split
from mmcl.engine.loop import Losses, Task, fit
from mmcl.engine.optimizers import Optimizing, RecordableSGD
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.engine.schedule import sgd_factor
from mmcl.engine.seeds import epoch_seed
from mmcl.settings.training import TrainSettings

SETTINGS = TrainSettings(
    epochs=3, batch=6, schedule="cosine", warmup_epochs=1, learning_rate=0.05, weight_decay=0.01
)
CPU = torch.device("cpu")


class Points(NamedTuple):
    """Points (B, 3), their targets, and what some batches lack."""

    x: Tensor
    more: dict[str, Tensor | None]


class Stopped(Exception):
    pass


class Curve(Task[Points]):
    """Fits a curve with dropout and batch norm; counts steps in a tensor after each."""

    label = "curve"
    steps = 6

    def __init__(self, net=None, stop=None, batch=6):
        torch.manual_seed(0)
        self.net = net or nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        self.net.register_buffer("count", torch.zeros(()))
        self.seed, self.stop, self.batch, self.ran = 1, stop, batch, 0

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        for number in range(self.steps):
            if (epoch, number) == self.stop:
                raise Stopped
            x = torch.randn(self.batch, 3, generator=generator, dtype=self.net[0].weight.dtype)
            yield Points(x, {"y": x[:, :1] * x[:, 1:2], "none": None})

    def losses(self, batch):
        self.ran += 1
        y = self.net(batch.x)
        error = (y - batch.more["y"]).square().mean()
        return Losses(error + 0.1 * y.abs().mean(), {"error": error}, carry=y.detach().sum())

    @torch.no_grad()
    def after_step(self, losses):
        self.net.count += losses.carry


def recordable(net, settings, steps):
    """As `build_optimizer` does it for a GPU."""
    sgd = RecordableSGD(
        net.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
    )
    schedule = LambdaLR(sgd, partial(sgd_factor, settings=settings))
    return Optimizing(sgd, schedule, every_step=False, rates=(torch.zeros(()),))


def epochs(task, step, count=3):
    """Train as `fit` does. Returns the means of each epoch."""
    found = []
    for epoch in range(count):
        torch.manual_seed(epoch_seed(1, epoch))
        step.begin()
        for batch in task.batches(epoch):
            step(batch)
        found.append(step.means())
        step.optimizing.scheduler.step()
    return found


def made(task, graphs=None):
    step = steps.Step(task, recordable(task.net, SETTINGS, 6), Processes(device=CPU), task.losses, graphs)
    if isinstance(graphs, TapedGraphs):
        graphs.kept = lambda: state_of(step)
    return step


def equal(task, other):
    ours, theirs = task.net.state_dict(), other.net.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("limit", [None, 0.5])
def test_a_recorded_step_does_what_the_operations_do(accumulate, limit):
    """To the last bit, with rates that change and its Python code no longer run."""
    found = []
    for graphs in (None, TapedGraphs(None)):
        task = Curve()
        task.accumulate, task.max_gradient_norm = accumulate, limit
        step = made(task, graphs)
        found.append((task, epochs(task, step)))
    (eager, expected), (task, means) = found
    assert means == expected
    assert equal(task, eager)
    assert (graphs.warmed, graphs.recorded, graphs.played) == (3, 1, 15)
    assert (eager.ran, task.ran) == (18 * accumulate, 4 * accumulate)
    assert step.recorded


def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(tmp_path, monkeypatch):
    """Which begins with steps that are not recorded."""

    def run(folder, task, taped=True):
        graphs = TapedGraphs(None)
        monkeypatch.setattr(loop, "build_optimizer", recordable)
        monkeypatch.setattr(steps, "graphs_of", lambda processes: (graphs if taped else None, ""))
        whole = steps.Step

        def noted(*inputs):
            made = whole(*inputs)
            graphs.kept = lambda: state_of(made)
            return made

        with monkeypatch.context() as patched:
            patched.setattr(steps, "Step", noted)
            mark, here = Mark({}, {}), Processes(device=CPU)
            with fit(task, SETTINGS, target=folder / "net.pt", mark=mark, processes=here) as fitted:
                pass
        return fitted, graphs

    straight, eager = Curve(), Curve()
    expected, graphs = run(tmp_path / "straight", straight)
    assert graphs.played == 15
    run(tmp_path / "eager", eager, taped=False)
    assert equal(straight, eager)
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", Curve(stop=(2, 4)))
    resumed = Curve()
    found, graphs = run(tmp_path / "stopped", resumed)
    assert graphs.played == 3
    assert equal(resumed, straight)
    assert [row["loss"] for row in found.history] == [row["loss"] for row in expected.history]
    assert isinstance(found.history[0]["lr"], float)


def test_what_cannot_be_recorded_is_trained_and_said_once(caplog):
    class Reading(Curve):
        def losses(self, batch):
            losses = super().losses(batch)
            return losses._replace(weight=1 + int(losses.terms["error"].item() > 1e9))

    eager, task, graphs = Curve(), Reading(), TapedGraphs(None)
    epochs(eager, made(eager))
    with caplog.at_level(logging.INFO):
        step = made(task, graphs)
        epochs(task, step)
    assert equal(task, eager)
    assert graphs.recorded == graphs.played == 0
    assert not step.recorded
    (record,) = caplog.records
    assert (
        "curve: steps run operation by operation, not as a CUDA graph: RuntimeError: aten" in record.message
    )
    assert "not permitted" in record.message
    assert "more about it" not in record.message


def test_a_step_that_waits_is_not_recorded(caplog):
    class Waiting(TapedGraphs):
        def warm(self, work, watched):
            super().warm(work, watched)
            return "the host waits in net.py:3" if watched else ""

    eager, task, graphs = Curve(), Curve(), Waiting(None)
    epochs(eager, made(eager))
    with caplog.at_level(logging.INFO):
        epochs(task, made(task, graphs))
    assert equal(task, eager)
    assert graphs.recorded == 0
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == ["the host waits in net.py:3"]


def test_batches_of_another_form_are_trained_operation_by_operation(caplog):
    class Odd(Curve):
        def batches(self, epoch):
            for number, batch in enumerate(super().batches(epoch)):
                if number == 4:
                    yield Points(batch.x[:5], {"y": batch.more["y"][:5], "none": None})
                else:
                    yield batch

    eager, task, graphs = Odd(), Odd(), TapedGraphs(None)
    expected = epochs(eager, made(eager))
    with caplog.at_level(logging.INFO):
        assert epochs(task, made(task, graphs)) == expected
    assert equal(task, eager)
    assert graphs.played == 12
    assert "other sizes" in caplog.text


def test_a_batch_that_is_no_structure_of_tensors(caplog):
    class Holding(Curve):
        def batches(self, epoch):
            for batch in super().batches(epoch):
                yield batch._replace(more={**batch.more, "none": object()})

    task, graphs = Holding(), TapedGraphs(None)
    with caplog.at_level(logging.INFO):
        epochs(task, made(task, graphs))
    assert graphs.warmed == 0
    assert "a batch holds a object" in caplog.text


def test_where_graphs_are_used(monkeypatch):
    assert graphs_of(Processes(device=CPU)) == (None, "")
    gpu = torch.device("cuda")
    monkeypatch.setenv("MMCL_CUDA_GRAPH", "off")
    assert graphs_of(Processes(device=gpu)) == (None, "MMCL_CUDA_GRAPH=off")
    monkeypatch.delenv("MMCL_CUDA_GRAPH")
    assert graphs_of(Processes(0, 2, gpu)) == (None, "several processes average their gradients")


@pytest.mark.parametrize("parts", [2, 4, 7])
def test_parts_of_a_batch_give_its_step(parts):
    """To rounding in float64, where nothing compares clips with each other."""

    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).double()

    whole, task = Curve(net(), batch=14), Curve(net(), batch=14)
    task.accumulate = parts
    expected, found = epochs(whole, made(whole)), epochs(task, made(task))
    for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
        ours, theirs = task.net.state_dict()[name], whole.net.state_dict()[name]
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_parts_are_about_equally_large():
    batch = Points(torch.arange(7), {"y": torch.arange(7.0), "none": None})
    parts = split(batch, 3)
    assert [part.x.tolist() for part, _ in parts] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [part.more["y"].tolist() for part, _ in parts] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [share for _, share in parts] == [2 / 7, 2 / 7, 3 / 7]


def test_the_form_of_a_batch():
    first = Points(torch.zeros(2, 3), {"y": torch.zeros(2), "none": None})
    assert form(first) == form(Points(torch.ones(2, 3), {"y": torch.ones(2), "none": None}))
    for other in (
        Points(torch.zeros(3, 3), {"y": torch.zeros(2), "none": None}),
        Points(torch.zeros(2, 3), {"y": torch.zeros(2).double(), "none": None}),
        Points(torch.zeros(2, 3), {"y": torch.zeros(2), "none": torch.zeros(2)}),
        Points(torch.zeros(2, 3), {"y": torch.zeros(2), "none": 1}),
        Points(torch.zeros(2, 3), {"z": torch.zeros(2), "none": None}),
        (torch.zeros(2, 3), {"y": torch.zeros(2), "none": None}),
    ):
        assert form(first) != form(other)
