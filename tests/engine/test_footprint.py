"""The memory that a training will need."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from mmcl.engine import footprint
from mmcl.engine.footprint import Need, Room, estimated, host_memory, remedy, told
from mmcl.engine.loop import Losses, Task
from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.processes import Processes
from mmcl.errors import OutOfMemory
from mmcl.settings.training import AdamWSettings, TrainSettings

SGD = TrainSettings(epochs=2, batch=40)
ADAMW = AdamWSettings(epochs=2, batch=40)
WIDE = 1000


@dataclass
class Examples:
    x: torch.Tensor
    picture: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


class Training(Task):
    rate_key = "line.learning_rate"

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(WIDE, WIDE), nn.Dropout(0.5), nn.BatchNorm1d(WIDE), nn.ReLU())
        self.seen = []

    def losses(self, batch):
        self.seen.append(batch)
        return Losses(self.net(batch.x).sum(), {})


def examples(clips=40):
    mask = torch.arange(clips) >= 5
    x = torch.randn(clips, WIDE)
    return Examples(x, {"picture": (x.clone(), mask)})


def begin(task, settings, batch):
    optimizing = build_optimizer(task.net, settings, 1)
    there = iter([batch, batch])
    return next(estimated(there, task, settings, optimizing, Processes(device=torch.device("cpu"))))


@pytest.mark.parametrize(("settings", "copies"), [(SGD, 2), (ADAMW, 3)])
def test_counted_on_a_cpu_by_hand(settings, copies, caplog):
    task = Training()
    caplog.set_level(logging.INFO)
    begin(task, settings, examples())
    # the mask of dropout (one byte each) and what it kept, the norm's result, and its statistics of two clips
    clip = WIDE * (1 + 4 + 4) + 2 * 4 * WIDE // 2
    learning = 4 * copies * (WIDE * WIDE + 3 * WIDE)
    expected = Need(learning, 0, clip, 40)
    room = host_memory()
    assert caplog.messages[0].startswith(told(expected, room).partition(" GB of the ")[0])
    assert f"40 clips at a time with {clip / 1e6:.1f} MB each" in caplog.messages[0]


def test_nothing_of_the_training_changes():
    task = Training()
    state = {name: value.clone() for name, value in task.net.state_dict().items()}
    batch = examples()
    random = torch.get_rng_state()
    assert begin(task, SGD, batch) is batch
    assert all(torch.equal(value, state[name]) for name, value in task.net.state_dict().items())
    assert all(parameter.grad is None for parameter in task.net.parameters())
    assert task.net.training
    assert torch.equal(torch.get_rng_state(), random)


def test_the_part_has_clips_with_everything():
    task, batch = Training(), examples()
    begin(task, SGD, batch)
    (part,) = task.seen
    picture, mask = part.picture["picture"]
    assert torch.equal(part.x, batch.x[5:7])
    assert torch.equal(picture, batch.x[5:7])
    assert mask.tolist() == [True, True]


def test_an_estimate_that_fails_ends_no_training(caplog):
    task, batch = Training(), examples()
    task.losses = lambda part: 1 / 0
    assert begin(task, SGD, batch) is batch
    assert caplog.messages == [
        "the memory of this training cannot be estimated (ZeroDivisionError: division by zero)"
    ]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of 10 GB, of which another process has 1, for a training that takes 0.5 GB and 0.15 for each clip."""
    for name, value in (
        ("mem_get_info", (8_900_000_000, 10_000_000_000)),
        ("memory_allocated", 100_000_000),
        ("memory_reserved", 300_000_000),
        ("get_device_name", "Card"),
        ("empty_cache", None),
        ("reset_peak_memory_stats", None),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *device, value=value: value)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    parts = []

    def peak(task, part, device):
        parts.append(len(part.x))
        first = 900_000_000 if len(parts) <= 2 else 0
        return 500_000_000 + 150_000_000 * len(part.x) + first

    monkeypatch.setattr(footprint, "_peak", peak)
    return parts


def begin_on_gpu(clips):
    task, batch = Training(), examples(clips)
    settings = SGD.model_copy(update={"batch": clips})
    optimizing = build_optimizer(task.net, settings, 1)
    next(estimated([batch], task, settings, optimizing, Processes(device=torch.device("cuda"))))


def test_measured_on_a_gpu(gpu, caplog):
    caplog.set_level(logging.INFO)
    begin_on_gpu(48)
    assert gpu == [3, 6, 3, 6]
    assert caplog.messages == [
        "this training needs 7.71 GB of the 9.10 GB that are free of 10.00 GB on Card, which holds 0.10 GB of this "
        "training already: 48 clips at a time with 150.0 MB each until the backward pass, 0.01 GB of gradients and "
        "optimizer and a workspace of 0.50 GB"
    ]


def test_a_training_that_will_not_fit_ends_before_its_first_step(gpu):
    with pytest.raises(OutOfMemory) as caught:
        begin_on_gpu(60)
    assert str(caught.value).startswith(
        "this training needs 9.51 GB of the 9.10 GB that are free of 10.00 GB on Card"
    )
    assert str(caught.value).endswith(
        "; set line.accumulate to 2 (now 1), or lower line.batch to 57 (now 60), and the learning rate in proportion, "
        "or set line.precision: bf16"
    )


def test_a_training_that_may_not_fit_begins_with_a_warning(gpu, caplog):
    begin_on_gpu(54)
    assert caplog.messages[-1] == (
        "this training may run out of memory; raise line.accumulate (now 1), or lower line.batch (now 54), and the "
        "learning rate in proportion, or set line.precision: bf16"
    )


@pytest.mark.parametrize(
    ("processes", "fitting", "parts", "batch"),
    [(1, 57, "to 4", " to 57"), (2, 57, "to 2", " to 114"), (1, 1, "", ""), (1, 0, "", "")],
)
def test_parts_that_fit(processes, fitting, parts, batch):
    accumulate = f"set line.accumulate {parts}" if parts else "raise line.accumulate"
    assert remedy(Training(), TrainSettings(batch=200), fitting, processes) == (
        f"{accumulate} (now 1), or lower line.batch{batch} (now 200), and the learning rate in proportion, or set "
        "line.precision: bf16"
    )


def test_what_a_training_may_set():
    task = Training()
    task.precision = "bf16"
    assert remedy(task, ADAMW) == "lower line.batch (now 40), and the learning rate in proportion"
    task.accumulate = 2
    assert remedy(task, SGD).startswith("raise line.accumulate (now 1), or lower line.batch (now 40), and ")


def test_control_groups_limit_the_memory_of_a_job(tmp_path, monkeypatch):
    monkeypatch.setattr(footprint, "CGROUPS", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 3000 kB\nSwapTotal: 1000 kB\n")
    (tmp_path / "own").write_text("0::/job/step\n")
    (tmp_path / "job/step").mkdir(parents=True)
    files = tmp_path / "meminfo", tmp_path / "own"
    assert host_memory(*files) == Room("this machine", 3000 << 10, 5000 << 10)
    for folder, limit in (("job", 2_000_000), ("job/step", "max")):
        for name, text in (("max", limit), ("current", 900_000), ("stat", "anon 500000\nfile 400000")):
            (tmp_path / folder / f"memory.{name}").write_text(f"{text}\n")
    assert host_memory(*files) == Room("this machine", 1_500_000, 2_000_000)
    assert host_memory(tmp_path / "none", tmp_path / "none") is None
