import json

import numpy as np
import pytest
from made_scores import CLASSES, LEFT_OUT, fusion, member, preset, scores
from seeds import shifted

from mmcl.errors import UserError
from mmcl.evaluation.ensemble import fit_weights, fuse, read_scores, write_ensemble
from mmcl.evaluation.finished import find_benchmark, find_models
from mmcl.settings.base import replaced


def test_fuse_is_a_weighted_sum_of_raw_logits():
    logits = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert np.array_equal(fuse(logits, [2, 1]), 2 * logits[0] + logits[1])


def test_normalised_scores_count_alike():
    logits = np.array([[[3, 4, 0], [0, 0, 0]], [[0, 0, 10], [2, 0, 0]]], np.float32)
    assert fuse(logits, [1, 1], normalise=True) == pytest.approx(np.array([[0.6, 0.8, 1], [1, 0, 0]]))


def test_fit_prefers_the_member_that_knows():
    rng = np.random.default_rng(shifted(0))
    labels = rng.integers(0, CLASSES, 200)
    good = 3.0 * np.eye(CLASSES)[labels] + rng.normal(0, 1, (200, CLASSES))
    noise = rng.normal(0, 1, (200, CLASSES))
    weights = fit_weights(np.stack([noise, good]), labels)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights[1] > 0.9


def test_fit_reaches_the_least_cross_entropy_of_a_grid():
    rng = np.random.default_rng(shifted(1))
    labels = rng.integers(0, CLASSES, 300)
    logits = np.stack(
        [s * np.eye(CLASSES)[labels] + rng.normal(0, 1, (300, CLASSES)) for s in (0.5, 1.0, 1.5)]
    )

    def cross_entropy(weights):
        fused = fuse(logits, weights)
        return (np.log(np.exp(fused).sum(1)) - fused[np.arange(300), labels]).mean()

    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 51) for b in np.linspace(0, 1 - a, 51)]
    assert cross_entropy(fit_weights(logits, labels)) <= min(map(cross_entropy, grid)) + 1e-9


def test_members_are_joined_by_name(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 1])
    b = scores(tmp_path / "b/scores.h5", ["y", "x"], [[0, 2, 0], [2, 0, 0]], [1, 0])
    logits, labels, names = read_scores([a, b])
    assert names == ["x", "y"]
    assert np.array_equal(logits[1], 2 * logits[0])
    assert labels.tolist() == [0, 1]


def test_members_with_other_clips_are_refused(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 1])
    b = scores(tmp_path / "b/scores.h5", ["x", "z"], [[1, 0, 0], [0, 1, 0]], [0, 1])
    with pytest.raises(UserError, match="different clips, y for one"):
        read_scores([a, b])


@pytest.mark.parametrize("kind", ["equal", "preset", "fitted"])
def test_the_result_over_two_seeds(tmp_path, kind):
    names, labels = ["p", "q", "r", "s"], [0, 1, 2, 2]
    right, eye = np.eye(CLASSES)[labels], np.eye(CLASSES)
    wrong = eye[[0, 1, 2, 0]]
    members = [member("joint"), member("bone")]
    files = [
        scores(tmp_path / f"{seed}/{i}/scores.h5", names, z, labels)
        for seed, pair in enumerate([(right, wrong), (wrong, wrong)])
        for i, z in enumerate(pair)
    ]
    output = tmp_path / "ensemble.json"
    settings = fusion(members, [1, 2], weights=kind, preset=preset([1.0, 3.0], members[::-1]))
    fit = files[:2] if kind == "fitted" else []
    metrics = [file.parent / "metrics.json" for file in files[:2]]
    metrics[0].write_text(json.dumps({"left_out": LEFT_OUT, "best_on_test": {"epoch": 3, "top1": 99.0}}))
    write_ensemble(output, scores=files, metrics=metrics, fit=fit, settings=settings)
    result = json.loads(output.read_text())
    weights = {"equal": [0.5, 0.5], "preset": [3.0, 1.0], "fitted": [1.0, 0.0]}[kind]
    assert [m["weight"] for m in result["members"]] == pytest.approx(weights, abs=1e-5)
    assert [m["top1"] for m in result["members"]] == [100.0, 75.0]
    assert result["clips"] == 4
    assert result["left_out"] == LEFT_OUT
    # equal weights tie clip s between classes 0 and 2, and the lower index wins
    first = {"equal": 75.0, "preset": 100.0, "fitted": 100.0}[kind]
    assert [s["top1"] for s in result["seeds"]] == [first, 75.0]
    assert result["top1"] == first
    assert result["mean"]["top1"] == pytest.approx((first + 75.0) / 2)
    assert result["sd"]["top1"] == pytest.approx(abs(first - 75.0) / 2**0.5, abs=0.01)
    assert result["per_class"][2] == {
        "id": "A003",
        "name": "wave",
        "clips": 2,
        "top1": 50.0 if first == 75 else 100.0,
        "precision": 100.0,
        "f1": 66.67 if first == 75 else 100.0,
    }
    assert result["confusion"] == [[1, 0, 0], [0, 1, 0], [1, 0, 1] if first == 75 else [0, 0, 2]]
    assert [(m["mean"], m["sd"]) for m in result["members"]] == [(87.5, 17.68), (75.0, 0.0)]
    # precision 1/2, 1, 1 and recall 1, 1, 1/2
    assert result["seeds"][1]["macro_precision"] == result["seeds"][1]["macro_recall"] == 83.33
    assert result["sd"]["macro_f1"] == pytest.approx(abs(result["macro_f1"] - 77.78) / 2**0.5, abs=0.01)
    assert [m.get("best_on_test") for m in result["members"]] == [{"epoch": 3, "top1": 99.0}, None]
    assert result["weights_from"] == kind
    assert ("weights_fitted_on_clips" in result) == (kind == "fitted")


@pytest.mark.parametrize("normalise", [False, True])
def test_scores_are_normalised_before_they_are_added(tmp_path, normalise):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[3, 4, 0], [4, 3, 0]], [1, 0])
    b = scores(tmp_path / "b/scores.h5", ["x", "y"], [[9, 0, 90], [9, 0, 1]], [1, 0])
    members = [member("joint"), member("bone")]
    rows = preset([2.0, 1.0], members)
    settings = fusion(members, [1], weights="preset", preset=rows, normalise=normalise)
    metrics = [file.parent / "metrics.json" for file in (a, b)]
    write_ensemble(tmp_path / "ensemble.json", scores=[a, b], metrics=metrics, fit=[], settings=settings)
    found = find_benchmark(tmp_path / "ensemble.json")
    # x: 2 · (3, 4, 0) + (9, 0, 90) is class 2; 2 · (0.6, 0.8, 0) + (0.1, 0, 0.995) is class 1
    assert found.result["top1"] == (100.0 if normalise else 50.0)
    assert find_models(tmp_path / "ensemble.json")[1:] == ([2.0, 1.0], normalise)
    assert not find_models(tmp_path / "ensemble.json", "ctrgcn-natural-bone").normalise


def ensemble_of(tmp_path, files, weights, seeds=(1,)):
    """The result of members that are all alike but for their scores."""
    count = len(files) // len(seeds)
    members = [member(stream) for stream in ("joint", "bone")[:count]]
    settings = fusion(members, list(seeds), weights="preset", preset=preset(weights, members))
    metrics = [file.parent / "metrics.json" for file in files[:count]]
    write_ensemble(tmp_path / "e.json", scores=files, metrics=metrics, fit=[], settings=settings)
    return json.loads((tmp_path / "e.json").read_text())


def test_the_best_epochs_are_fused_beside_the_last(tmp_path):
    names, members = ["x", "y"], [member("joint"), member("bone")]
    last, best = [[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 1, 0]]
    files = [scores(tmp_path / f"{i}/scores.h5", names, last, [0, 1]) for i in range(2)]
    for file in files:
        scores(file.with_name("scores_best_on_test.h5"), names, best, [0, 1])
    settings = fusion(members, [7], weights="equal")
    settings = replaced(settings, train=replaced(settings.train, evaluate_every=1))
    metrics = [file.with_name("metrics.json") for file in files]
    write_ensemble(tmp_path / "e.json", scores=files, metrics=metrics, fit=[], settings=settings)
    result = json.loads((tmp_path / "e.json").read_text())
    assert result["top1"] == 50.0
    assert [(one["seed"], one["top1"]) for one in result["best_on_test"]] == [(7, 100.0)]
    settings = replaced(settings, train=replaced(settings.train, evaluate_every=0))
    write_ensemble(tmp_path / "e.json", scores=files, metrics=metrics, fit=[], settings=settings)
    assert "best_on_test" not in json.loads((tmp_path / "e.json").read_text())


def test_calibration_is_of_the_weighted_mean_whatever_the_weights_come_to(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 0])
    b = scores(tmp_path / "b/scores.h5", ["x", "y"], [[3, 0, 0], [0, 1, 0]], [0, 0])
    result = ensemble_of(tmp_path, [a, b], [5.0, 5.0])
    # the mean logits are (2, 0, 0), right, and (0, 1, 0), wrong
    sure, unsure = np.exp(2) / (np.exp(2) + 2), np.e / (np.e + 2)
    assert result["nll"] == pytest.approx(-(np.log(sure) + np.log((1 - unsure) / 2)) / 2, abs=1e-4)
    assert result["ece"] == pytest.approx(100 * ((1 - sure) + unsure) / 2, abs=0.01)
    assert result["seeds"][0]["nll"] == result["mean"]["nll"] == result["nll"]
    assert ensemble_of(tmp_path, [a, b], [0.5, 0.5])["nll"] == result["nll"]


def test_one_seed_has_no_standard_deviation(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 0])
    result = ensemble_of(tmp_path, [a], [1.0])
    assert set(result["sd"].values()) == {None}
    assert (result["members"][0]["mean"], result["members"][0]["sd"]) == (50.0, None)
    # no clip of A003, and one of A001 taken for A002, which has none either
    assert [c["top1"] for c in result["per_class"]] == [50.0, None, None]
    assert (result["macro_precision"], result["macro_recall"], result["macro_f1"]) == (100.0, 50.0, 66.67)


def test_weights_are_written_as_they_were_used(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x"], [[1, 0, 0]], [0])
    b = scores(tmp_path / "b/scores.h5", ["x"], [[0, 1, 0]], [0])
    # with one ten-millionth more for b the clip would be wrong; six decimals leave a tie
    result = ensemble_of(tmp_path, [a, b], [1.0, 1.0000001])
    assert [m["weight"] for m in result["members"]] == [1.0, 1.0]
    assert result["top1"] == 100.0


def test_weights_that_are_all_zero_are_refused(tmp_path):
    files = [scores(tmp_path / f"{i}/scores.h5", ["x"], [[1, 0, 0]], [0]) for i in "ab"]
    with pytest.raises(UserError, match="all fusion weights are zero"):
        ensemble_of(tmp_path, files, [1e-9, 1e-9])


def test_published_weights_belong_to_streams_and_graphs(tmp_path):
    chosen = [("bone", "hd21", 5.0), ("joint", "natural", 2.361693), ("bone", "natural", 4.354028)]
    members = [member(stream, graph) for stream, graph, _ in chosen]
    files = [scores(tmp_path / f"{i}/scores.h5", ["x"], [[1, 0, 0]], [0]) for i in range(3)]

    def weights(count):
        used, metrics = files[:count], [file.parent / "metrics.json" for file in files[:count]]
        settings = fusion(members[:count], [1], weights="preset")
        write_ensemble(tmp_path / "e.json", scores=used, metrics=metrics, fit=[], settings=settings)
        return [one["weight"] for one in json.loads((tmp_path / "e.json").read_text())["members"]]

    assert weights(3) == [weight for _, _, weight in chosen]
    assert weights(1) == [1.0]  # a member alone


def test_members_with_other_labels_are_refused(tmp_path):
    a = scores(tmp_path / "a/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 1])
    b = scores(tmp_path / "b/scores.h5", ["x", "y"], [[1, 0, 0], [0, 1, 0]], [0, 2])
    with pytest.raises(UserError, match="different classes"):
        read_scores([a, b])
