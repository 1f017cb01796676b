"""A training step depends on no value: it runs on the meta device, where tensors have shapes and no numbers."""

from contextlib import nullcontext

import pytest
import torch
from made_terms import fam, frm
from on_meta import OnMeta
from seeds import shifted
from test_loader import Values, made_data
from torch.optim.lr_scheduler import LambdaLR

from mmcl.colearn.distil import Distillation, Taught
from mmcl.colearn.learner import CoLearner
from mmcl.colearn.term import Form
from mmcl.engine.leaves import mapped
from mmcl.engine.optimizers import Optimizing, RecordableSGD
from mmcl.engine.processes import Processes
from mmcl.engine.step import Step
from mmcl.models import build_backbone
from mmcl.settings.tables import BACKBONES, STREAMS, default_graph
from mmcl.settings.training import DistilSettings, TrainSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.training.loader import Loader

META = torch.device("meta")


def loader_on_meta(settings, stream, persons=2):
    """A loader whose batches have no numbers; half of the clips lack a picture, and some an answer."""
    values = torch.randn(10, 12)
    rows = torch.arange(10)
    data = made_data(10, picture=Values(values, rows % 2 > 0), answer=Values(values, rows > 2))
    if persons == 1:
        data.clips = data.clips._replace(joints=data.clips.joints[..., :1])
    loader = Loader(data, stream, settings, 1)
    loader.clips = Ragged(*(part.to(META) for part in loader.clips))
    data.labels = data.labels.to(META)
    return loader


class Shapes:
    """A task of the meta device."""

    label = "shapes"
    precision = "fp32"
    max_gradient_norm = 1.0

    def __init__(self, net, loader, accumulate=1):
        self.net, self.loader, self.accumulate = net, loader, accumulate

    def losses(self, batch):
        return self.net.losses(self.loader.view(batch))

    def after_step(self, losses):
        pass

    def clipped_parameters(self):
        return self.net.parameters()


def steps_on_meta(net, loader, change=lambda batch: batch, accumulate=1):
    """Two steps; in the first, tensors that are kept may be made."""
    sgd = RecordableSGD(net.parameters(), 0.1, 0.9, nesterov=True, weight_decay=0.1)
    optimizing = Optimizing(sgd, LambdaLR(sgd, lambda epoch: 1.0), False, (torch.zeros((), device=META),))
    task = Shapes(net.train(), loader, accumulate)
    step = Step(task, optimizing, Processes(device=torch.device("cpu")), task.losses)
    batch = mapped(change(next(loader.drawn(0))), lambda tensor: tensor.to(META))
    step(batch)
    with OnMeta():
        step(batch)
    assert all(p.grad is not None for p in net.parameters())


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """It does not know the meta device."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())


def network(name, persons=2):
    torch.manual_seed(shifted(0))
    backbone = build_backbone(name, 10, "utd20", persons, default_graph(name), width=0.25)
    terms = [fam(12, backbone.feature_dim, hidden=16, chunk=3), frm(10, 12, input="hidden")]
    return CoLearner(backbone, terms, 0.1)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_backbone_and_no_term_asks_for_a_value(name):
    settings = TrainSettings(batch=8, min_crop=3, window=16, accumulate=2)
    steps_on_meta(network(name).to(META), loader_on_meta(settings, "joint"), accumulate=2)


@pytest.mark.parametrize("feeder", ["resize", "ucla"])
@pytest.mark.parametrize("stream", STREAMS)
def test_no_feeder_asks_for_a_value(stream, feeder):
    settings = TrainSettings(batch=8, min_crop=3, window=16, feeder=feeder)
    loader = loader_on_meta(settings, stream, persons=1)
    steps_on_meta(network("stgcn16", persons=1).to(META), loader)


def test_learning_from_an_ensemble_asks_for_no_value():
    net = network("stgcn16")
    form = Form(10, net.backbone.feature_dim, {"teachers": (2, 8)})
    net.add(Distillation(DistilSettings(**{"from": "others"}), form, torch.randn(2, 8, 30, device=META)))
    loader = loader_on_meta(TrainSettings(batch=8, min_crop=3, window=16), "joint")

    def with_teachers(batch):
        taught = Taught(torch.randn(8, 2, 8), torch.randn(8, 10))
        return batch._replace(inputs={**batch.inputs, "teachers": taught})

    steps_on_meta(net.to(META), loader, with_teachers)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x * torch.tensor([1.0], device=x.device),
        lambda x: x * torch.ones(1).to(x.device),
        lambda x: x * x.sum().item(),
        lambda x: x[x > 0].view(x.shape),
        lambda x: x if x.any() else 0 * x,
    ],
)
def test_the_check_sees_what_it_should(wrong, monkeypatch):
    loader = loader_on_meta(TrainSettings(batch=8, min_crop=3, window=16), "joint")
    whole = loader.feeder.training_view
    monkeypatch.setattr(loader.feeder, "training_view", lambda kept, draw: wrong(whole(kept, draw)))
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        steps_on_meta(network("stgcn16").to(META), loader)
