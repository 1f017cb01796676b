"""Fine-tuning: a stream begins from a pre-trained encoder, and trains with part of the labels."""

import json

import pytest
import torch
from made_stores import changed, make_stores
from made_stores import train as run
from seeds import shifted

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
    begin_from(backbone, open_initial(tmp_path / "model.pt", settings), settings)
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
