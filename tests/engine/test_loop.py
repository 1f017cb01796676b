"""The training loop, on a network of six numbers."""

import logging

import pytest
import torch
from torch import nn

from mmcl import checkpoints
from mmcl.engine.history import as_csv
from mmcl.engine.loop import Losses, Task, fit
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.errors import UserError
from mmcl.settings.base import replaced
from mmcl.settings.training import AdamWSettings, TrainSettings

SGD = TrainSettings(epochs=5, batch=4, schedule="cosine", warmup_epochs=2, learning_rate=0.05)
ADAMW = AdamWSettings(epochs=5, batch=4, learning_rate=0.05)


class Stopped(Exception):
    pass


class Fitting(Task):
    """Fits a line, with dropout."""

    label = "line"
    steps = 3
    seed = 4
    rate_key = "line.learning_rate"
    evaluate_every = 2

    def __init__(self, stop=None):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
        self.stop = stop
        self.events = []

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        for step in range(self.steps):
            if (epoch, step) == self.stop:
                raise Stopped
            yield torch.randn(4, 3, generator=generator)

    def losses(self, batch):
        y = self.net(batch)
        bend, shift = (y[:, 0] - 1).square().mean(), y[:, 1].abs().mean()
        right = (y[:, 0] > 0).float().mean()
        return Losses(bend + 0.5 * shift, {"bend": bend, "shift": shift, "accuracy": right}, carry=len(batch))

    def begin(self, done):
        self.events.append(("begin", done))

    def begin_epoch(self, epoch):
        self.events.append(("epoch", epoch))
        return epoch == 3

    def after_step(self, losses):
        self.events.append(losses.carry)

    def end_epoch(self, row):
        row["stage"] = 1

    def evaluate(self):
        return float(-self.net[1].weight.detach().abs().sum())


def run(task, folder, settings=SGD, left=(), **more):
    mark = Mark({"line": settings.dump()}, {"clips": "a"} | more)
    with fit(task, settings, target=folder / "net.pt", mark=mark, processes=Processes()) as fitted:
        assert (folder / "last.pt").exists()  # until the results are written
        assert (folder / "last.lock").exists()
    assert [path.name for path in folder.iterdir()] == [*left]
    return fitted


def values(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@pytest.mark.parametrize("settings", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, settings):
    straight = Fitting()
    expected = run(straight, tmp_path / "straight", settings)
    with pytest.raises(Stopped):
        run(Fitting(stop=(3, 1)), tmp_path / "stopped", settings)
    state = checkpoints.read(tmp_path / "stopped/last.pt")
    assert len(state["history"]) == 3
    resumed = Fitting()
    found = run(resumed, tmp_path / "stopped", settings)
    assert resumed.events[:2] == [("begin", 3), ("epoch", 3)]
    assert values(found.history) == values(expected.history)
    assert found.best["epoch"] == expected.best["epoch"]
    for ours, theirs in (
        (resumed.net.state_dict(), straight.net.state_dict()),
        (found.best["state"], expected.best["state"]),
    ):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_terms_are_columns_by_name(tmp_path):
    task = Fitting()
    fitted = run(task, tmp_path / "run")
    columns = as_csv(fitted.history).splitlines()[0]
    assert columns == "epoch,lr,loss,bend,shift,accuracy,seconds,stage,test_top1"
    for row in fitted.history:
        assert row["loss"] == pytest.approx(row["bend"] + 0.5 * row["shift"], rel=1e-6)
        assert 0 <= row["accuracy"] <= 100
    assert [row["lr"] for row in fitted.history][:3] == pytest.approx([0.025, 0.05, 0.05])
    assert ["test_top1" in row for row in fitted.history] == [False, True, False, True, True]
    best = max((row for row in fitted.history if "test_top1" in row), key=lambda row: row["test_top1"])
    assert (fitted.best["epoch"], fitted.best["top1"]) == (best["epoch"], best["test_top1"])
    assert task.events[:6] == [("begin", 0), ("epoch", 0), 4, 4, 4, ("epoch", 1)]


def test_batches_count_by_their_weight(tmp_path):
    class Weighted(Fitting):
        def losses(self, batch):
            losses = super().losses(batch)
            self.seen.append(losses.terms["bend"].item())
            return losses._replace(weight=len(self.seen))

    task = Weighted()
    task.seen = []
    fitted = run(task, tmp_path / "run", TrainSettings(epochs=1, batch=4))
    first, second, third = task.seen
    assert fitted.history[0]["bend"] == pytest.approx((first + 2 * second + 3 * third) / 6, rel=1e-6)


def test_gradients_are_limited(tmp_path):
    class Limited(Fitting):
        max_gradient_norm = 1e-6

    task, before = Limited(), Fitting().net[1].weight
    run(task, tmp_path / "run", TrainSettings(epochs=1, batch=4, weight_decay=0.0))
    assert 0 < (task.net[1].weight - before).abs().max() < 1e-6


def test_other_names_within_an_epoch_are_an_error(tmp_path):
    class Changing(Fitting):
        def losses(self, batch):
            losses = super().losses(batch)
            return losses._replace(terms={f"bend{len(self.events)}": losses.total})

    with pytest.raises(RuntimeError, match=r"terms of a step \['bend3'\], of the first \['bend2'\]"):
        run(Changing(), tmp_path / "run")


def test_a_term_that_is_not_finite_stops(tmp_path):
    class Broken(Fitting):
        def losses(self, batch):
            losses = super().losses(batch)
            return losses._replace(terms={"bend": losses.total / 0})

    with pytest.raises(
        UserError, match=r"net.pt: the loss is not finite in epoch 1; lower line.learning_rate"
    ):
        run(Broken(), tmp_path / "run")


def test_an_epoch_without_batches_is_an_error(tmp_path):
    class Empty(Fitting):
        def batches(self, epoch):
            return []

    with pytest.raises(UserError, match="epoch 1 has no batch"):
        run(Empty(), tmp_path / "run")


def stopped(folder, settings=SGD):
    """A run of three epochs."""
    with pytest.raises(Stopped):
        run(Fitting(stop=(3, 1)), folder, settings)
    return checkpoints.read(folder / "last.pt")


def test_what_changes_a_weight_starts_afresh_and_is_named(tmp_path, caplog):
    expected = Fitting()
    faster = replaced(SGD, learning_rate=0.1)
    run(expected, tmp_path / "fresh", faster)
    kept = stopped(tmp_path / "run")
    task = Fitting()
    with caplog.at_level(logging.WARNING):
        run(task, tmp_path / "run", faster, ["last.set-aside.pt"])
    assert task.events[0] == ("begin", 0)
    assert torch.equal(task.net[1].weight, expected.net[1].weight)
    assert "line.learning_rate: 0.05 → 0.1): set aside as last.set-aside.pt, starting afresh" in caplog.text
    aside = checkpoints.read(tmp_path / "run/last.set-aside.pt")
    assert torch.equal(aside["net"]["1.weight"], kept["net"]["1.weight"])
    # undone: it goes on
    (tmp_path / "run/last.set-aside.pt").rename(tmp_path / "run/last.pt")
    task = Fitting()
    run(task, tmp_path / "run")
    assert task.events[0] == ("begin", 3)


def test_other_inputs_start_afresh_and_are_named(tmp_path, caplog):
    stopped(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        run(Fitting(), tmp_path / "run", left=["last.set-aside.pt"], clips="b", teachers="c")
    assert "inputs (clips changed; teachers changed): set aside" in caplog.text


STEPS = TrainSettings(epochs=5, batch=4, warmup_epochs=1, steps=[4], learning_rate=0.05)


@pytest.mark.parametrize("change", [{"epochs": 7}, {"steps": [3, 4]}, {"decay": 0.5}, {"min_rate": 0.1}])
def test_a_schedule_that_differs_later_goes_on_to_the_same_bits(tmp_path, caplog, change):
    other = replaced(STEPS, **change)
    straight = Fitting()
    expected = run(straight, tmp_path / "straight", other)
    stopped(tmp_path / "run", STEPS)
    task = Fitting()
    with caplog.at_level(logging.INFO):
        found = run(task, tmp_path / "run", other)
    assert task.events[0] == ("begin", 3)
    assert f"line.{next(iter(change))}: " in caplog.text
    assert values(found.history) == values(expected.history)
    assert torch.equal(task.net[1].weight, straight.net[1].weight)


@pytest.mark.parametrize(
    "change", [{"epochs": 2}, {"steps": [2]}, {"warmup_epochs": 2}, {"schedule": "cosine"}]
)
def test_a_schedule_that_was_another_starts_afresh(tmp_path, change):
    stopped(tmp_path / "run", STEPS)
    task = Fitting()
    run(task, tmp_path / "run", replaced(STEPS, **change), ["last.set-aside.pt"])
    assert task.events[0] == ("begin", 0)


def test_rates_of_steps_follow_from_all_settings(tmp_path):
    stopped(tmp_path / "run", ADAMW)
    task = Fitting()
    run(task, tmp_path / "run", replaced(ADAMW, epochs=6), ["last.set-aside.pt"])
    assert task.events[0] == ("begin", 0)


def test_a_state_of_another_version_or_network_is_set_aside(tmp_path):
    for change, aside in (
        ({"mark": None}, "last.set-aside.pt"),
        ({"mark": {"settings": 1}}, "last.set-aside.pt"),
        ({"net": {"1.weight": torch.zeros(2, 4), "1.bias": torch.zeros(2)}}, "last.unreadable.pt"),
        (
            {"net": {"1.weight": torch.full((2, 3), torch.nan), "1.bias": torch.zeros(2)}},
            "last.unreadable.pt",
        ),
        ({"net": 3}, "last.unreadable.pt"),
        ({"optimizer": {"state": {0: []}, "param_groups": []}}, "last.unreadable.pt"),
        ({"scheduler": {"step": 3}}, "last.unreadable.pt"),
        ({"history": [1]}, "last.unreadable.pt"),
        ({"best": []}, "last.unreadable.pt"),
    ):
        folder = tmp_path / f"{change}"[:20].replace("/", "")
        state = stopped(folder)
        checkpoints.save(folder / "last.pt", state | change)
        task = Fitting()
        run(task, folder, left=[aside])
        assert task.events[0] == ("begin", 0)
        (folder / aside).unlink()


def test_another_evaluation_keeps_the_weights(tmp_path, caplog):
    straight = Fitting()
    run(straight, tmp_path / "straight")
    stopped(tmp_path / "run")
    task = Fitting()
    task.evaluate_every = 1
    mark = Mark({"line": SGD.dump()}, {"clips": "a"}, {"evaluate_every": 1})
    with (
        caplog.at_level(logging.WARNING),
        fit(task, SGD, target=tmp_path / "run/net.pt", mark=mark, processes=Processes()) as found,
    ):
        pass
    assert task.events[0] == ("begin", 3)
    assert torch.equal(task.net[1].weight, straight.net[1].weight)
    assert found.best["epoch"] > 3
    assert "best_on_test is of the epochs after 3" in caplog.text


class Diverging(Fitting):
    """Whose last step of an epoch makes a weight not finite, or too large."""

    def __init__(self, epoch, value):
        super().__init__()
        self.epoch, self.value = epoch, value

    def after_step(self, losses):
        super().after_step(losses)
        if self.events.count(("epoch", self.epoch)) and self.events[-3:] == [4, 4, 4]:
            self.net[1].weight.data[0, 0] = self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
@pytest.mark.parametrize("epoch", [2, 4])
def test_weights_that_are_not_finite_after_the_last_step_are_not_kept(tmp_path, value, epoch):
    with pytest.raises(UserError) as caught:
        run(Diverging(epoch, value), tmp_path)
    said = str(caught.value)
    assert (
        f"net.pt: after epoch {epoch + 1}: values of 1 of 2 tensors are not finite or exceed 2e+19: 1.weight;"
        in said
    )
    assert f" lower line.learning_rate; last.pt holds the state after epoch {epoch}" in said
    state = checkpoints.read(tmp_path / "last.pt")
    assert len(state["history"]) == epoch
    assert all(torch.isfinite(tensor).all() for tensor in state["net"].values())


def test_a_job_of_the_workflow_keeps_its_last_state_until_the_result_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("MMCL_PLANNED", "{}")
    first = Fitting()
    run(first, tmp_path, left=["last.pt"])
    again = Fitting()
    found = run(again, tmp_path, left=["last.pt"])
    assert again.events == [("begin", len(found.history))]  # no epoch is trained anew
    for ours, theirs in zip(again.net.parameters(), first.net.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_precision_is_named_where_it_may_be_the_cause(tmp_path):
    task = Diverging(0, float("nan"))
    task.precision = "bf16"
    with pytest.raises(UserError, match=r"lower line\.learning_rate, or set line\.precision: fp32$"):
        run(task, tmp_path)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            SGD,
            r"raise line\.accumulate \(now 1\), or lower line\.batch \(now 4\), and the learning rate in proportion, "
            r"or set line\.precision: bf16",
        ),
        (ADAMW, r"lower line\.batch \(now 4\), and the learning rate in proportion"),
    ],
)
def test_memory_that_does_not_suffice_names_the_settings_that_take_less(settings, remedy, tmp_path):
    task = Fitting()

    def full(batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    task.losses = full
    message = rf"^the GPU's memory does not suffice \(20\.00 GiB more were asked for\); {remedy}$"
    with (
        pytest.raises(UserError, match=message),
        fit(task, settings, target=tmp_path / "m.pt", mark=Mark({}, {}), processes=Processes()),
    ):
        pass
