"""No step depends on a value: it can be captured as a CUDA graph."""

from contextlib import nullcontext

import pytest
import torch
from on_meta import OnMeta
from small import distiller, pretrainer
from test_augment_views import clips

from mmcl.selfsup import CONTRAST, EXCHANGE, MANDATORY, MODALITIES
from mmcl.selfsup.pairs import Pairs
from mmcl.selfsup.train import Contrast, DistillationTask, PretrainingTask
from mmcl.selfsup.views import AugmentedViews
from mmcl.settings.selfsup import AugmentationSettings, ContrastSettings, ViewSettings
from mmcl.skeleton.ragged import Ragged


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """Torch has none on this device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)


def task_of(kind, net, second, convention="ctr", **augmentation):
    """A task whose clips and network lie on the meta device."""
    settings = ContrastSettings(steps=(1,))
    view = ViewSettings(window=8, convention=convention)
    views = AugmentedViews(clips(7), view, "utd20", AugmentationSettings(**augmentation))
    task = kind(net, Pairs(views, net.modalities, second, batch=4, seed=1), settings, 1)
    draw = next(iter(task.batches(0)))
    views.clips = Ragged(*(part.to("meta") for part in views.clips))
    if views._whole is not None:
        views._whole = views._whole.to("meta")
    net.to("meta")
    return task, type(draw)(draw.rows.to("meta"), draw.first.to("meta"), draw.second.to("meta"))


def steps(task, draw):
    """Two steps; the second may do nothing on the CPU."""
    optimizer = torch.optim.SGD(task.net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)

    def step():
        losses = task.losses(draw)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        task.after_step(losses)
        return losses

    step()  # constants are made
    with OnMeta():
        return step()


@pytest.mark.parametrize("augmentation", [{"bones": 0.1}, {"crop_by": "resize"}])
@pytest.mark.parametrize("convention", ["ctr", "ikem"])
@pytest.mark.parametrize("stage", [CONTRAST, EXCHANGE])
def test_pretraining(stage, convention, augmentation):
    net = pretrainer(MODALITIES)
    net.enter(stage)
    losses = steps(*task_of(PretrainingTask, net, MODALITIES, convention, **augmentation))
    assert losses.total.device.type == "meta"
    assert len(losses.terms) == (6 if stage == CONTRAST else 12)


@pytest.mark.parametrize("wrong_memory", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_distillation(early, wrong_memory):
    net = distiller(MODALITIES, early=early, wrong_memory=wrong_memory)
    losses = steps(*task_of(DistillationTask, net, MANDATORY))
    assert len(losses.terms) == (1 if early else 3)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda total: total.item(), "meta"),
        (lambda total: total.new_ones(3)[total.new_ones(3) > 0], "nonzero|meta"),
        (lambda total: total * torch.ones(2), "cpu"),
        (lambda total: total + torch.tensor([1, 2], device="meta"), "Python numbers"),
    ],
)
def test_what_a_capture_does_not_permit_is_found(fault, why, monkeypatch):
    task, draw = task_of(PretrainingTask, pretrainer(MANDATORY), MANDATORY)
    losses_of = Contrast.losses

    def faulty(self, batch):
        losses = losses_of(self, batch)
        fault(losses.total)
        return losses

    with OnMeta():
        task.losses(draw)
    monkeypatch.setattr(Contrast, "losses", faulty)
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError), match=why), OnMeta():
        task.losses(draw)
