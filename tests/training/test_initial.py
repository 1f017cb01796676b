"""Fine-tuning: a stream begins from a pre-trained encoder, and trains with part of the labels."""

import json

import pytest
import torch
from made_stores import changed, make_stores
from made_stores import train as run
from seeds import shifted

from mmcl import checkpoints
from mmcl.colearn.learner import build_model
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.score import load_model, score_stream
from mmcl.models import build_backbone
from mmcl.selfsup.files import EncodersDescription, load_encoders, new_encoders, save_encoders
from mmcl.settings.jobs import Scoring, StreamTraining
from mmcl.training.data import labelled
from mmcl.training.initial import begin_from, open_initial

ABOUT = {
    "inputs": {"joint": ["joint"], "early": ["joint", "bone"]},
    "encoder": {"backbone": "ctrgcn", "layout": "utd20", "persons": 1, "width": 0.125},
    "dim": 8,
    "hidden": None,
    "view": {"window": 16, "convention": "ctr", "facing": "frame", "true_timeline": True},
}
INIT = {"from": "other", "what": "pretrain", "modality": None}


@pytest.fixture
def settings(settings):
    return changed(
        settings,
        model__fam={"enabled": False},
        model__frm={"enabled": False},
        train__epochs=1,
        train__init=INIT,
    )


def encoders(path, **about):
    torch.manual_seed(shifted(3))
    description = EncodersDescription.model_validate(ABOUT | about)
    nets = new_encoders(description)
    save_encoders(path, nets, description)
    return nets


@pytest.mark.parametrize("stream", ["joint", "bone"])
def test_all_but_the_head_is_copied(tmp_path, settings, stream):
    nets = encoders(tmp_path / "model.pt")
    settings["train"]["init"] = INIT | ({"modality": "joint"} if stream == "bone" else {})
    settings["stream"] = stream
    torch.manual_seed(shifted(1))
    backbone = build_backbone("ctrgcn", 4, "utd20", 1, width=0.125)
    settings = StreamTraining.model_validate(settings)
    head = backbone.head.weight.clone()
    begin_from(backbone, open_initial(tmp_path / "model.pt", settings))
    theirs = nets["joint"].backbone.state_dict()
    assert backbone.head.weight.shape[0] == 4
    assert torch.equal(backbone.head.weight, head)
    copied = [key for key in backbone.state_dict() if not key.startswith("head.")]
    assert copied
    assert all(torch.equal(backbone.state_dict()[key], theirs[key]) for key in copied)


def test_training_begins_there(stores, tmp_path, settings):
    encoders(tmp_path / "model.pt")
    still = changed(settings, train__learning_rate=1e-12, train__warmup_epochs=0)
    state = run(stores, tmp_path / "from", still, init=tmp_path / "model.pt")["state"]
    begun = load_encoders(tmp_path / "model.pt").backbones["joint"].state_dict()
    weights = [key for key in begun if key.endswith("weight") and not key.startswith("head.")]
    assert len(weights) > 20
    for key in weights:
        torch.testing.assert_close(state[f"backbone.{key}"], begun[key], rtol=0, atol=1e-6)
    scratch = run(stores, tmp_path / "scratch", changed(still, train__init=None))["state"]
    assert any((scratch[f"backbone.{key}"] - begun[key]).abs().max() > 1e-2 for key in weights)


@pytest.mark.parametrize(
    ("about", "values", "said"),
    [
        (
            {"encoder": ABOUT["encoder"] | {"backbone": "stgcn16"}},
            {},
            "with backbone stgcn16, this stream has ctrgcn",
        ),
        ({"encoder": ABOUT["encoder"] | {"width": 0.25}}, {}, "with width 0.25, this stream has 0.125"),
        ({"encoder": ABOUT["encoder"] | {"graph": "hd21"}}, {}, "with graph hd21, this stream has natural"),
        ({"view": ABOUT["view"] | {"convention": "ikem"}}, {}, "with convention ikem, this stream has ctr"),
        ({}, {"stream": "bone"}, "no encoder of bone for stream bone; it has: joint"),
        (
            {"inputs": {"early": ["joint", "bone"]}},
            {},
            "no encoder of joint for stream joint; it has: none of one",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_both(tmp_path, settings, about, values, said):
    encoders(tmp_path / "model.pt", **about)
    with pytest.raises(UserError, match=f"train.init: .*model.pt .*{said}"):
        open_initial(tmp_path / "model.pt", StreamTraining.model_validate(changed(settings, **values)))


def test_an_encoder_of_another_data_set_keeps_its_joints(tmp_path, settings):
    encoders(tmp_path / "model.pt", encoder=ABOUT["encoder"] | {"layout": "ntu25", "persons": 2})
    stores = make_stores(tmp_path)
    about = run(stores, tmp_path / "from", settings, init=tmp_path / "model.pt")
    assert (about["layout"], about["persons"]) == ("ntu25", 2)
    files = {"output": tmp_path / "scores.h5", "metrics": tmp_path / "metrics.json"}
    score_stream(
        model=tmp_path / "from/model.pt",
        skeletons=stores["skeletons"],
        settings=Scoring(protocol="odd_subjects", version=1),
        **files,
    )
    assert json.loads(files["metrics"].read_text())["clips"] == 16
    assert load_model(tmp_path / "from/model.pt").settings.train.init.dump() == INIT


@pytest.fixture
def supervised(tmp_path, settings):
    """A bone stream of ntu25 with two people and seven classes, as train_stream leaves it: state, path."""
    form = {"num_classes": 7, "layout": "ntu25", "persons": 2, "shapes": {}}
    theirs = StreamTraining.model_validate(
        changed(settings, train__init=None, stream="bone", train__window=20)
    )
    torch.manual_seed(shifted(4))
    state = build_model(theirs.model, **form, label_smoothing=0.0).state_dict()
    names = [f"A{number:03d}" for number in range(1, 8)]
    about = {"settings": theirs.dump(), "versions": {}, "classes": names, "class_names": names}
    path = tmp_path / "supervised.pt"
    checkpoints.save(path, {"schema": "mmcl.model/1", "state": state, **about, **form})
    return state, path


def test_a_stream_of_another_data_set_keeps_all_but_its_classes(tmp_path, settings, supervised):
    theirs, path = supervised
    own = changed(
        settings,
        train__init={"from": "other", "what": "stream"},
        stream="bone",
        train__learning_rate=1e-12,
        train__warmup_epochs=0,
    )
    stores = make_stores(tmp_path)
    about = run(stores, tmp_path / "from", own, init=path)
    # joints and people are those of the network, classes those of the clips
    assert (about["layout"], about["persons"], about["num_classes"]) == ("ntu25", 2, 4)
    state = about["state"]
    weights = [key for key in theirs if key.endswith("weight") and ".head." not in key]
    assert len(weights) > 20
    for key in weights:
        torch.testing.assert_close(state[key], theirs[key], rtol=0, atol=1e-6)
    assert state["backbone.head.weight"].shape[0] == 4
    scored = {"output": tmp_path / "scores.h5", "metrics": tmp_path / "metrics.json"}
    score_stream(
        model=tmp_path / "from/model.pt",
        skeletons=stores["skeletons"],
        settings=Scoring(protocol="odd_subjects", version=1),
        **scored,
    )
    assert json.loads(scored["metrics"].read_text())["clips"] == 16


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stream": "joint"}, "has no stream of joint for stream joint; it has: bone"),
        ({"model__width": 0.25}, "has streams with width 0.125, this stream has 0.25"),
        ({"model__graph": "hd21"}, "has streams with graph natural, this stream has hd21"),
    ],
)
def test_a_stream_that_does_not_fit_is_named(settings, supervised, values, said):
    own = changed(settings, **{"train__init": {"from": "other", "what": "stream"}, "stream": "bone"} | values)
    with pytest.raises(UserError, match=f"train.init: .*supervised.pt {said}"):
        open_initial(supervised[1], StreamTraining.model_validate(own))


def test_encoders_are_no_stream(tmp_path, settings):
    encoders(tmp_path / "model.pt")
    own = changed(settings, train__init=INIT | {"what": "stream"})
    with pytest.raises(UserError, match=r"model.pt: not a model of train_stream"):
        open_initial(tmp_path / "model.pt", StreamTraining.model_validate(own))


def test_a_part_of_every_class_is_chosen_by_seed_and_name(stores):
    source = SkeletonStore(stores["skeletons"])
    rows = list(range(len(source)))  # eight of each class
    quarter, half = (labelled(rows, source, share, 1) for share in (0.25, 0.5))
    assert torch.bincount(torch.from_numpy(source.labels[quarter])).tolist() == [2] * 4
    assert torch.bincount(torch.from_numpy(source.labels[half])).tolist() == [4] * 4
    assert set(quarter) < set(half)
    assert (
        torch.bincount(torch.from_numpy(source.labels[labelled(rows, source, 0.01, 1)])).tolist() == [1] * 4
    )
    assert labelled(rows[::-1], source, 0.25, 1) == quarter
    assert labelled(rows, source, 0.25, 2) != quarter
    first = [source.names[row] for row in labelled(rows, source, 0.01, 1)]
    assert first == ["a0_s8", "a1_s6", "a2_s5", "a3_s1"]  # by sha256sum of 1/<name>


def test_training_sees_that_part_alone(stores, tmp_path, settings):
    few = changed(settings, train__labels=0.5, train__init=None)
    run(stores, tmp_path / "few", few)
    reported = json.loads((tmp_path / "few/settings.json").read_text())
    assert (reported["clips"], reported["settings"]["train"]["labels"]) == (8, 0.5)
