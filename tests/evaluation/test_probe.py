"""Probes of encoders: what is written, and that it is what the networks make of the clips."""

import json

import numpy as np
import pytest
import torch
from made_stores import make_stores
from seeds import shifted

from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.evaluation.compare import compare
from mmcl.evaluation.probe import features, probe_stream
from mmcl.evaluation.probed import write_result
from mmcl.selfsup.files import Encoders, load_encoders, new_encoders, save_encoders
from mmcl.selfsup.heads import Labelled, standardised, train_heads
from mmcl.selfsup.neighbours import joined_features, nearest_classes
from mmcl.selfsup.norms import measure_norms
from mmcl.skeleton import to_stream
from mmcl.skeleton.ragged import join
from mmcl.skeleton.transforms import crop_resize
from mmcl.store import Shards

ABOUT = {
    "inputs": {"joint": ["joint"], "bone": ["bone"]},
    "encoder": {"backbone": "stgcn16", "layout": "utd20", "persons": 1, "width": 0.25},
    "dim": 8,
    "hidden": None,
    "view": {"window": 8, "convention": "ctr", "facing": "frame", "true_timeline": True},
}
PROBE = {
    "from": None,
    "epochs": 30,
    "batch": 8,
    "standardise": False,
    "learning_rate": 3.0,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "steps": [20],
    "decay": 0.1,
    "evaluate_every": 5,
    "neighbours": [1, 3],
}
SETTINGS = {"protocol": "odd_subjects", "what": "pretrain", "seed": shifted(1), "version": 1, "probe": PROBE}


@pytest.fixture
def model(stores, tmp_path):
    """Encoders at random weights, with the clips' statistics."""
    torch.manual_seed(shifted(5))
    nets = new_encoders(ABOUT)
    source = SkeletonStore(stores["skeletons"])
    encoders = Encoders(nets.eval(), ABOUT)
    views = encoders.views(join([source.clip(row) for row in range(len(source))], 1))
    measure_norms(encoders, views)
    save_encoders(tmp_path / "model.pt", nets, ABOUT)
    return tmp_path / "model.pt"


def probe(model, stores, folder, **more):
    folder.mkdir(parents=True, exist_ok=True)
    files = {"output": folder / "scores.h5", "metrics": folder / "metrics.json"}
    probe_stream(model=model, skeletons=stores["skeletons"], settings=SETTINGS | more, **files)
    return json.loads(files["metrics"].read_text())


def parts(model, stores):
    """Features of the training and the test clips."""
    encoders, source = load_encoders(model), SkeletonStore(stores["skeletons"])
    selection, place = select(source, SETTINGS), torch.device("cpu")
    return [
        Labelled(
            features(encoders, source, np.flatnonzero(rows), place), torch.from_numpy(source.labels[rows])
        )
        for rows in (selection.train, selection.test)
    ]


def share(classes, test):
    return round(100 * float((classes == test.labels).double().mean()), 2)


def test_what_is_written(model, stores, tmp_path):
    found = probe(model, stores, tmp_path / "probe/seed-1")
    assert (found["clips"], found["train_clips"]) == (16, 16)
    assert [one["name"] for one in found["left_out"]] == ["bad_s2"]
    assert list(found["encoders"]) == ["joint", "bone"]
    train, test = parts(model, stores)
    apart, best = train_heads(train, test, 4, PROBE, shifted(1))
    joined = [joined_features(part.features) for part in (train, test)]
    expected = {
        "joint": (share(apart[0].argmax(1), test), train.features[0], test.features[0]),
        "bone": (share(apart[1].argmax(1), test), train.features[1], test.features[1]),
        "together": (
            share(train_heads(train, test, 4, PROBE, shifted(1), together=True)[0][0].argmax(1), test),
            *joined,
        ),
    }
    told = found["encoders"] | {"together": found["together"]["trained"] | {"knn": found["together"]["knn"]}}
    for name, (top1, *features_of) in expected.items():
        assert told[name]["top1"] == top1
        nearest = nearest_classes(features_of[0], train.labels, features_of[1], [1, 3])
        assert told[name]["knn"] == {str(k): share(classes, test) for k, classes in nearest.items()}
        assert told[name]["top5"] == 100
    assert [one["best_on_test"] for one in found["encoders"].values()] == [one._asdict() for one in best]
    assert found["together"]["posthoc"]["top1"] == share(apart.mean(0).argmax(1), test)
    assert len({top1 for top1, *_ in expected.values()}) > 1
    assert list(found["encoders"]["bone"]["knn"]) == list(found["together"]["knn"]) == ["1", "3"]
    scores = Shards([tmp_path / "probe/seed-1/scores.h5"], "mmcl.scores/1")
    right = (scores.read("logits").argmax(1) == scores.read("labels")).mean() * 100
    assert round(right, 2) == found["together"]["trained"]["top1"]
    again = probe(model, stores, tmp_path / "again/seed-1")
    assert again == found
    compared = compare([tmp_path / "probe", tmp_path / "again"])
    assert compared["pairs"][0]["mean"]["difference"] == 0
    assert compared["runs"][0]["mean"] == found["together"]["trained"]["top1"]


def test_features_are_those_of_whole_clips_in_evaluation_mode(model, stores):
    encoders, source = load_encoders(model), SkeletonStore(stores["skeletons"])
    found = features(encoders, source, [3, 7], torch.device("cpu"))
    clips = join([source.clip(row) for row in (3, 7)], 1)
    x = crop_resize(clips, torch.arange(2), torch.zeros(2, dtype=torch.int64), clips.length, 8)
    for number, stream in enumerate(("joint", "bone")):
        net = encoders.backbones[stream].eval()
        torch.testing.assert_close(found[number], net.features(to_stream(x, stream, "utd20")).detach())


def test_the_linear_classifiers_may_see_standardised_features(model, stores, tmp_path):
    found = probe(model, stores, tmp_path / "probe", probe=PROBE | {"standardise": True})
    train, test = parts(model, stores)
    apart, _ = train_heads(*standardised(train, test), 4, PROBE, shifted(1))
    assert [one["top1"] for one in found["encoders"].values()] == [
        share(logits.argmax(1), test) for logits in apart
    ]
    plain = probe(model, stores, tmp_path / "plain")
    assert found["together"]["knn"] == plain["together"]["knn"]
    assert found["together"]["trained"] != plain["together"]["trained"]


def test_random_takes_the_form_alone(model, stores, tmp_path):
    random = probe(model, stores, tmp_path / "random", what="random")
    assert random != probe(model, stores, tmp_path / "pretrain")
    torch.manual_seed(shifted(9))
    save_encoders(tmp_path / "other.pt", new_encoders(ABOUT), ABOUT)
    assert probe(tmp_path / "other.pt", stores, tmp_path / "other", what="random") == random
    assert probe(model, stores, tmp_path / "seed", what="random", seed=shifted(2)) != random


def test_clips_of_another_data_set_are_probed(model, tmp_path):
    (tmp_path / "other").mkdir()
    found = probe(model, make_stores(tmp_path / "other", "ntu25", persons=2), tmp_path / "probe")
    assert found["clips"] == 16
    assert found["together"] != probe(model, make_stores(tmp_path), tmp_path / "own")["together"]


def test_the_result_is_mean_and_deviation_over_seeds(tmp_path):
    def metrics(seed, joint, together):
        path = tmp_path / f"seed-{seed}.json"
        encoder = {"top1": joint, "best_on_test": {"epoch": seed, "top1": joint + 1}, "knn": {"1": joint - 1}}
        parts = {"clips": 16, "train_clips": 16, "left_out": [], "encoders": {"joint": encoder}}
        path.write_text(json.dumps(parts | {"together": {"trained": {"top1": together}}}))
        return path

    paths = [metrics(1, 40.0, 50.0), metrics(2, 44.0, 51.0)]
    write_result(
        tmp_path / "result.json",
        metrics={"random": paths[:1], "pretrain": paths},
        settings={"benchmark": "b", "seeds": [1, 2]},
    )
    found = json.loads((tmp_path / "result.json").read_text())["probes"]
    sd = round(float(np.std([40, 44], ddof=1)), 2)
    joint = found["pretrain"]["encoders"]["joint"]
    assert joint["top1"] == {"mean": 42.0, "sd": sd, "seeds": [40.0, 44.0]}
    assert joint["best_on_test"] == {"top1": {"mean": 43.0, "sd": sd, "seeds": [41.0, 45.0]}}
    assert joint["knn"]["1"]["mean"] == 41.0
    assert found["pretrain"]["together"]["trained"]["top1"]["mean"] == 50.5
    assert found["random"]["encoders"]["joint"]["top1"] == {"mean": 40.0, "sd": None, "seeds": [40.0]}
