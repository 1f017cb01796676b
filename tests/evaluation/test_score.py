"""Scores of trained streams."""

import json

import numpy as np
import pytest
import torch
from made_stores import make_stores, stream_settings
from scipy.special import log_softmax
from seeds import shifted

from mmcl import checkpoints
from mmcl.colearn.words import embed
from mmcl.datasets.exclusion import plan_exclusion
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.score import predict, refine, score_stream
from mmcl.inspect import examine
from mmcl.settings.jobs import Scoring
from mmcl.store import Shards, opened
from mmcl.training.data import training_rows
from mmcl.training.train import train_stream
from mmcl.training.trained import load_model


@pytest.fixture
def trained(stores, settings, tmp_path):
    """A model of two epochs."""

    def train(**values):
        train_stream(
            skeletons=stores["skeletons"],
            inputs={"picture": [stores["rgb"]], "answer": [stores["answers"]]},
            output=tmp_path / "run/model.pt",
            settings=stream_settings(train__epochs=2, **values),
        )
        return tmp_path / "run/model.pt"

    return train


def score(model, stores, fit=False, protocol="odd_subjects", **more):
    score_stream(
        model=model,
        skeletons=stores["skeletons"],
        output=model.with_name("scores.h5"),
        metrics=model.with_name("metrics.json"),
        settings=Scoring.model_validate({"protocol": protocol, "fit": fit, "version": 1, **more}),
        threads=1,
    )
    return Shards([model.with_name("scores.h5")], "mmcl.scores/1"), json.loads(
        model.with_name("metrics.json").read_text()
    )


def test_the_best_epoch_is_scored_under_a_name_that_says_so(trained, stores):
    model = trained(train__evaluate_every=1)
    _, last = score(model, stores)
    assert not model.with_name("scores_best_on_test.h5").exists()
    again, metrics = score(model, stores, best=True)
    assert metrics == last
    best = json.loads(model.with_name("metrics_best_on_test.json").read_text())
    assert best["top1"] == pytest.approx(best["best_on_test"]["top1"], abs=0.01)
    of_best = Shards([model.with_name("scores_best_on_test.h5")], "mmcl.scores/1")
    assert of_best.names == again.names
    clips = [SkeletonStore(stores["skeletons"])]
    own = load_model(model.with_name("best_on_test.pt"))
    rows = [clips[0].names.index(name) for name in of_best.names]
    expected = predict(own, [clips[0].clip(row) for row in rows])
    np.testing.assert_allclose(of_best.read("logits"), expected, rtol=1e-4, atol=1e-5)


def test_scores_and_metrics_of_the_test_clips(trained, stores):
    model = trained()
    scores, metrics = score(model, stores)
    assert sorted(scores.names) == sorted(f"a{a}_s{s}" for a in range(4) for s in (2, 4, 6, 8))
    logits, labels = scores.read("logits"), scores.read("labels")
    assert labels.tolist() == [int(name[1]) for name in scores.names]
    source = SkeletonStore(stores["skeletons"])
    clips = [source.clip(source.names.index(name)) for name in scores.names]
    np.testing.assert_allclose(predict(load_model(model), clips), logits, rtol=1e-4, atol=1e-5)
    right = logits.argmax(1) == labels
    assert metrics["clips"] == 16
    assert metrics["top1"] == round(100 * right.mean(), 2)
    assert metrics["mean_class_accuracy"] == metrics["top1"]  # four clips of each class
    assert metrics["top5"] == 100.0
    assert metrics["per_class"][2] == {
        "id": "a2",
        "name": "a2",
        "clips": 4,
        "top1": round(100 * right[labels == 2].mean(), 2),
        "precision": metrics["per_class"][2]["precision"],
        "f1": metrics["per_class"][2]["f1"],
    }
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, logits.argmax(1)), 1)
    assert metrics["confusion"] == matrix.tolist()
    share = [100 * matrix[c, c] / max(1, matrix[:, c].sum()) for c in range(4)]
    assert [c["precision"] for c in metrics["per_class"]] == pytest.approx(share, abs=0.01)
    assert metrics["macro_precision"] == pytest.approx(np.mean(share), abs=0.01)
    # a network of four epochs may be sure of what is wrong: no chance may come to zero
    nll = -log_softmax(logits.astype(float), axis=1)[np.arange(16), labels].mean()
    assert metrics["nll"] == pytest.approx(nll, rel=1e-5, abs=1e-4)
    assert metrics["left_out"] == [{"name": "bad_s2", "reason": "empty"}]
    with opened(model.with_name("scores.h5")) as file:
        assert file["classes/id"].asstr()[:].tolist() == ["a0", "a1", "a2", "a3"]
        assert file["confusion"][:].tolist() == matrix.tolist()
    assert "best_on_test" not in metrics


def test_a_fit_model_is_scored_on_the_subjects_it_has_not_seen(trained, stores):
    scores, metrics = score(trained(fit=True), stores, fit=True)
    assert sorted(scores.names) == [f"a{a}_s1" for a in range(4)]
    assert metrics["clips"] == 4
    # four clips of four classes: the counts are no row of a clip
    assert "confusion" not in examine(scores.paths[0])["clips"][0]  # whose rows are no clips


def test_the_best_epoch_on_the_test_clips_stands_beside_the_last_one(trained, stores):
    model = trained()
    content = checkpoints.read(model)
    checkpoints.save(model, {**content, "best_on_test": {"epoch": 1, "top1": 99.99}})
    metrics = score(model, stores)[1]
    assert metrics["best_on_test"] == {"epoch": 1, "top1": 99.99}
    assert metrics["top1"] != 99.99


def test_scores_that_are_not_finite_are_refused(trained, stores):
    model = trained()
    content = checkpoints.read(model)
    content["state"]["backbone.head.weight"].fill_(3e38)  # finite, but its products are not
    checkpoints.save(model, content)
    with pytest.raises(UserError, match=r"model.pt: the scores of clip \S+ are not finite"):
        score(model, stores)


def test_a_model_of_another_split_is_refused(trained, stores):
    model = trained()
    with pytest.raises(UserError, match="trained for fit False, to be scored on True"):
        score(model, stores, fit=True)
    with pytest.raises(UserError, match="trained for protocol odd_subjects"):
        score(model, stores, protocol="nw_ucla")


def test_excluded_clips_neither_train_nor_test(trained, stores, settings, tmp_path):
    names = [f"a{a}_s{s}" for a in range(4) for s in (1, 2)] + ["a0_s4"]
    (tmp_path / "list.txt").write_text("\n".join(names))
    own = {
        "rule": {"by": "subject", "train": "odd", "test": "even"},
        "exclude": plan_exclusion(str(tmp_path / "list.txt")),
    }
    model = trained(protocol="mine", **own)
    scores, metrics = score(model, stores, protocol="mine", **own)
    assert sorted(scores.names) == sorted(
        f"a{a}_s{s}" for a in range(4) for s in (4, 6, 8) if (a, s) != (0, 4)
    )
    left_out = {entry["name"]: entry["reason"] for entry in metrics["left_out"]}
    assert left_out.pop("bad_s2") == "empty"
    assert left_out == dict.fromkeys(
        ("a0_s2", "a1_s2", "a2_s2", "a3_s2", "a0_s4"), f"excluded by {tmp_path / 'list.txt'}"
    )
    assert training_rows(SkeletonStore(stores["skeletons"]), load_model(model).settings) == [
        row for row in range(32) if row % 8 in (2, 4, 6)
    ]
    for missing in own:
        with pytest.raises(UserError, match=f"trained for {missing} "):
            score(model, stores, protocol="mine", **{key: own[key] for key in own if key != missing})


def test_a_file_that_is_no_model_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not a model of train_stream"):
        load_model(tmp_path / "other.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "pickle.pt")
    with pytest.raises(UserError, match="not a checkpoint that can be read safely"):
        load_model(tmp_path / "pickle.pt")


@pytest.mark.parametrize(
    ("kind", "features"),
    [
        ("hidden", lambda answers, name: answers.row("states", name)[0]),
        ("mean", lambda answers, name: answers.row("states", name).mean(0)),
        ("last", lambda answers, name: answers.row("states", name)[-1]),
        ("text", lambda answers, name: embed([answers.row("text", name)])[0]),
    ],
)
def test_refined_scores_follow_equation_8(trained, stores, kind, features):
    model = load_model(trained(model__frm__input=kind))
    answers = Shards([stores["answers"]], "mmcl.answers/1")
    logits = np.random.default_rng(shifted(0)).normal(0, 1, (2, 4)).astype(np.float32)
    refined, has = refine(model, logits, answers, ["a1_s1", "a2_s2"])
    assert has.tolist() == [False, True]
    np.testing.assert_array_equal(refined[0], logits[0])  # this clip has no answer
    frm = model.model.refinement
    state = torch.from_numpy(features(answers, "a2_s2")[None])
    gates = frm.phi(frm.norm(state)).softmax(1)[0]
    expected = (gates[0] * frm.matrices[0] + gates[1] * frm.matrices[1]).detach().numpy() * logits[1]
    np.testing.assert_allclose(refined[1], expected, rtol=1e-5)


def test_refining_needs_an_frm(stores, settings, tmp_path):
    settings = stream_settings(train__epochs=1, model__fam__enabled=False, model__frm__enabled=False)
    train_stream(skeletons=stores["skeletons"], output=tmp_path / "model.pt", settings=settings)
    answers = Shards([stores["answers"]], "mmcl.answers/1")
    with pytest.raises(UserError, match="without FRM"):
        refine(load_model(tmp_path / "model.pt"), np.zeros((1, 4), np.float32), answers, ["a2_s2"])


def test_one_person_is_enough_for_a_model_of_two(settings, tmp_path):
    stores = make_stores(tmp_path, "ntu25", 2)
    settings = stream_settings(train__epochs=1, model__fam__enabled=False, model__frm__enabled=False)
    train_stream(skeletons=stores["skeletons"], output=tmp_path / "model.pt", settings=settings)
    model = load_model(tmp_path / "model.pt")
    clip = np.random.default_rng(shifted(0)).normal(0, 0.3, (9, 2, 25, 3)).astype(np.float32)
    clip[:, 1] = 0
    np.testing.assert_array_equal(predict(model, [clip]), predict(model, [clip[:, :1]]))
