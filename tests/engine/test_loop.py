"""The training loop, on a network of six numbers."""

import pytest
import torch
from torch import nn

from mmcl import checkpoints
from mmcl.engine.history import as_csv
from mmcl.engine.loop import Losses, Task, fit
from mmcl.engine.processes import Processes
from mmcl.engine.resume import fingerprint
from mmcl.errors import UserError
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


def run(task, folder, settings=SGD, mark="same"):
    with fit(task, settings, target=folder / "net.pt", fingerprint=mark, processes=Processes()) as fitted:
        assert (folder / "last.pt").exists()  # until the results are written
        assert (folder / "last.lock").exists()
    assert list(folder.iterdir()) == []
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


def test_another_fingerprint_starts_afresh(tmp_path):
    with pytest.raises(Stopped):
        run(Fitting(stop=(3, 1)), tmp_path / "run")
    task = Fitting()
    run(task, tmp_path / "run", mark="other")
    assert task.events[0] == ("begin", 0)
    assert fingerprint(SGD, ["a"]) != fingerprint(SGD, ["b"]) != fingerprint(ADAMW, ["b"])


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            SGD,
            r"lower line\.batch \(now 4\), and the learning rate in proportion, or set line\.precision: bf16",
        ),
        (ADAMW, r"lower line\.batch \(now 4\), and the learning rate in proportion"),
    ],
)
def test_memory_that_does_not_suffice_names_the_settings_that_take_less(settings, remedy, tmp_path):
    task = Fitting()

    def full(batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    task.losses = full
    message = rf"Tried to allocate 20\.00 GiB\.\); {remedy}$"
    with (
        pytest.raises(UserError, match=message),
        fit(task, settings, target=tmp_path / "m.pt", fingerprint="", processes=Processes()),
    ):
        pass
