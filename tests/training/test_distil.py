"""A stream learns from an ensemble: the losses as written, frozen teachers, exact resume."""

import csv
import json

import pytest
import torch
import torch.nn.functional as F
from made_stores import SETTINGS, changed, make_stores
from made_stores import train as run
from seeds import shifted

from mmcl import checkpoints
from mmcl.colearn.distil import Distillation, Taught, softened_divergence
from mmcl.colearn.term import Batch, Form
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.score import load_model
from mmcl.settings.jobs import StreamTraining
from mmcl.settings.training import DistilSettings
from mmcl.skeleton.streams import to_stream
from mmcl.training import train
from mmcl.training.data import read_training_data
from mmcl.training.feeders import Resize, ResizeDraw
from mmcl.training.loader import Loader
from mmcl.training.teachers import Teachers

DISTIL = {
    "from": "teachers",
    "logit_weight": 1.0,
    "temperature": 4.0,
    "relation_weight": 0.1,
    "relation_temperature": 0.07,
    "topk": 2,
    "memory": 12,
}
WEIGHTS = (0.25, 0.5)


PLAIN = changed(SETTINGS, model__fam={"enabled": False}, model__frm={"enabled": False, "input": "hidden"})


@pytest.fixture
def settings():
    """Of a teacher: nothing beside the skeleton."""
    return changed(PLAIN)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """See tests/conftest.py; once for all."""
    return make_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def teachers(stores, tmp_path_factory):
    """Inputs of a training: two members, joint and a wider bone_motion, and their ensemble.json."""
    folder, models = tmp_path_factory.mktemp("teachers"), []
    for stream, width in (("joint", 0.125), ("bone_motion", 0.25)):
        models.append(folder / stream / "model.pt")
        run(stores, folder / stream, changed(PLAIN, stream=stream, model__width=width))
    ensemble = folder / "ensemble.json"
    members = [
        {"backbone": "ctrgcn", "graph": "natural", "stream": stream, "weight": weight}
        for stream, weight in zip(("joint", "bone_motion"), WEIGHTS, strict=True)
    ]
    ensemble.write_text(json.dumps({"members": members}))
    return {"teachers": models, "ensemble": [ensemble]}


def student(settings, **values):
    return changed(settings, stream="bone", train__distil=DISTIL, train__epochs=3, **values)


def opened(stores, settings, teachers, **values):
    """The clips that train, and the teachers for a student with some settings replaced."""
    source = SkeletonStore(stores["skeletons"])
    own, asked = (StreamTraining.model_validate(one) for one in (settings, changed(settings, **values)))
    data = read_training_data(source, own, {}, torch.device("cpu"), 0)
    return data, Teachers(teachers["teachers"], *teachers["ensemble"], asked, source, data.clips)


def distillation(width, memory, **values):
    form = Form(num_classes=5, feature_dim=width, shapes={})
    return Distillation(DistilSettings.model_validate(DISTIL | values), form, memory)


def test_the_divergence_as_written():
    generator = torch.Generator().manual_seed(shifted(0))
    student, teacher = (
        torch.randn(6, 5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)
    )
    p, q = F.softmax(teacher / 3, 1), F.softmax(student / 3, 1)
    expected = 9 * (p * (p / q).log()).sum(1).mean()
    found = softened_divergence(student, teacher, 3.0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert softened_divergence(teacher, teacher, 3.0).abs() < 1e-12


def test_the_loss_of_a_student_as_written():
    torch.manual_seed(shifted(0))
    memory = F.normalize(torch.randn(2, 4, 9, dtype=torch.float64), dim=1)
    distil = distillation(6, memory).double()
    features, logits = torch.randn(3, 6).double(), torch.randn(3, 5).double()
    t = F.normalize(torch.randn(2, 3, 4).double(), dim=2)
    taught = Taught(t.transpose(0, 1), torch.randn(3, 5).double())
    total, parts = distil(features, logits, Batch(features, torch.zeros(3), {"teachers": taught}))
    relation, imitation = parts["relation"], parts["imitation"]

    z = distil.head(features)
    assert z.shape == (3, 8)
    p = (z * torch.cat([*t], 1) / 2**0.5).sum(1) / 0.07
    n = z @ memory.flatten(0, 1) / 2**0.5
    losses = []
    for u in range(2):
        s = t[u] @ memory[u]
        product = s * n / 0.07
        log = torch.cat([p[:, None], n / 0.07, product], 1).log_softmax(1)
        near = s.topk(2).indices
        positive = torch.cat([log[:, :1], log[:, 1:10].gather(1, near), log[:, 10:].gather(1, near)], 1)
        losses.append(-positive.mean(1))
    torch.testing.assert_close(relation, torch.stack(losses).mean())
    torch.testing.assert_close(total, 0.1 * relation + imitation)
    total.backward()
    assert distil.head.layers[0].weight.grad.any()


def test_teachers_give_what_the_ensemble_gives(stores, settings, teachers):
    """The fused logits of the members' own streams, and their features, centred and L2-normalised."""
    own = student(settings)
    own["train"]["distil"] = DISTIL | {"memory": 100}
    data, taught = opened(stores, own, teachers)
    rows = torch.tensor([3, 9, 14])
    draw = ResizeDraw(rows, torch.ones(3).double() * 0.7, torch.zeros(3).double(), torch.full((3, 3), 0.2))
    found = taught.teach(draw)
    feeder = Resize(StreamTraining.model_validate(own).train, "joint", "utd20")
    x, plain = feeder.training_view(data.clips, draw), feeder.test_view(data.clips, torch.arange(16))
    logits, everything = torch.zeros(3, 4), []
    with torch.no_grad():
        for weight, stream, path, member in zip(
            WEIGHTS,
            ("joint", "bone_motion"),
            teachers["teachers"],
            found.features.transpose(0, 1),
            strict=True,
        ):
            net = load_model(path).model.backbone
            logits += weight / sum(WEIGHTS) * net(to_stream(x, stream, "utd20"))
            all_features = net.features(to_stream(plain, stream, "utd20"))
            features = net.features(to_stream(x, stream, "utd20")) - all_features.mean(0)
            width = features.shape[1]
            assert member.shape == (3, 64)
            assert not member[:, width:].any()
            torch.testing.assert_close(member[:, :width], F.normalize(features, dim=1), rtol=1e-3, atol=1e-4)
            everything.append(F.normalize(all_features - all_features.mean(0), dim=1))
    torch.testing.assert_close(found.logits, logits, rtol=1e-3, atol=1e-4)
    # memory: the same of plain clips, one a column in whatever order
    assert taught.memory.shape == (2, 64, 16)
    near = everything[1] @ taught.memory[1]
    torch.testing.assert_close(near.amax(1), torch.ones(16), rtol=1e-4, atol=1e-4)
    together = (everything[0] @ taught.memory[0, :32] + near).amax(1)
    torch.testing.assert_close(together, torch.full((16,), 2.0), rtol=1e-4, atol=1e-4)


def test_a_batch_and_what_is_taught_of_it_are_of_the_same_clips(stores, settings, teachers, monkeypatch):
    data, taught = opened(stores, student(settings), teachers)
    seen = []
    monkeypatch.setattr(taught, "teach", lambda draw: seen.append(draw) or "taught")
    data.inputs["teachers"] = taught
    loader = Loader(data, "bone", StreamTraining.model_validate(settings).train, 1)
    for batch in loader.epoch(2):
        assert batch.inputs["teachers"] == "taught"
        assert torch.equal(batch.labels, data.labels[seen[-1].order])
        x = taught._feeder.training_view(taught._clips, seen[-1])
        torch.testing.assert_close(batch.x, to_stream(x, "bone", "utd20"), rtol=1e-4, atol=1e-5)
    assert len(seen) == 3


def test_a_student_learns_from_its_teachers_and_keeps_nothing_of_them(stores, settings, teachers, tmp_path):
    # all clips in every step and a low rate: the imitation gets better whatever the order of additions
    own = changed(student(settings), train__epochs=12, train__batch=16, train__learning_rate=0.02)
    about = run(stores, tmp_path / "student", own, inputs=teachers)
    alone = run(stores, tmp_path / "alone", changed(own, train__distil=None))
    assert about["state"].keys() == alone["state"].keys()
    assert any(not torch.equal(about["state"][key], alone["state"][key]) for key in about["state"])
    assert about["settings"]["train"]["distil"] == DISTIL
    rows = list(csv.DictReader((tmp_path / "student/history.csv").open()))
    for row in rows:
        cls, relation, imitation = (float(row[key]) for key in ("cls", "relation", "imitation"))
        assert min(cls, relation, imitation) > 0
        assert float(row["loss"]) == pytest.approx(cls + 0.1 * relation + imitation, rel=1e-5)
    assert float(rows[-1]["imitation"]) < 0.8 * float(rows[0]["imitation"]), [r["imitation"] for r in rows]
    rows = list(csv.DictReader((tmp_path / "alone/history.csv").open()))
    assert not {"relation", "imitation"} & rows[0].keys()
    assert "distil" not in load_model(tmp_path / "student/model.pt").model.terms


def test_a_stopped_student_ends_as_one_that_was_not(stores, settings, teachers, tmp_path, monkeypatch):
    own = student(settings)
    straight = run(stores, tmp_path / "straight", own, inputs=teachers)
    whole = Loader.drawn

    def stop(self, number):
        for step, batch in enumerate(whole(self, number)):
            if (number, step) == (2, 1):
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(Loader, "drawn", stop)
        with pytest.raises(KeyboardInterrupt):
            run(stores, tmp_path / "stopped", own, inputs=teachers)
    assert len(checkpoints.read(tmp_path / "stopped/last.pt")["history"]) == 2
    resumed = run(stores, tmp_path / "stopped", own, inputs=teachers)
    assert all(torch.equal(value, resumed["state"][key]) for key, value in straight["state"].items())


def test_teachers_get_no_gradient_and_do_not_change(stores, settings, teachers):
    own = student(settings)
    data, taught = opened(stores, own, teachers)
    before = [{k: v.clone() for k, v in net.state_dict().items()} for _, net in taught.networks]
    own = StreamTraining.model_validate(own)
    model, _ = train._open_model(own, SkeletonStore(stores["skeletons"]), data)
    model.add(distillation(model.backbone.feature_dim, taught.memory))
    data.inputs["teachers"] = taught
    for batch in Loader(data, "bone", own.train, 1).epoch(0):
        model.losses(batch).total.backward()
    assert next(model.distil.head.parameters()).grad.any()
    for (_, net), state in zip(taught.networks, before, strict=True):
        assert all(p.grad is None for p in net.parameters())
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_without_the_relational_loss_there_is_no_head(stores, settings, teachers, tmp_path):
    own = student(settings)
    own["train"]["distil"] = DISTIL | {"relation_weight": 0}
    run(stores, tmp_path / "student", own, inputs=teachers)
    rows = list(csv.DictReader((tmp_path / "student/history.csv").open()))
    assert "relation" not in rows[0]
    assert float(rows[0]["imitation"]) > 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"protocol": "even_subjects"}, "trained for protocol odd_subjects, to teach on even_subjects"),
        ({"fit": True}, "trained for fit False, to teach on True"),
        ({"train__window": 16}, "was trained with train.window 8, not 16"),
    ],
)
def test_teachers_that_do_not_fit_are_named(stores, settings, teachers, values, said):
    good = student(settings)
    opened(stores, good, teachers)
    with pytest.raises(UserError, match=said):
        opened(stores, good, teachers, **values)
    with pytest.raises(UserError, match=r"the teachers are .*'bone_motion'.*, the members in .* are"):
        opened(stores, good, teachers | {"teachers": teachers["teachers"][::-1]})
