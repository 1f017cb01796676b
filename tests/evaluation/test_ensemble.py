import json

import h5py
import numpy as np
import pytest

from mmcl.errors import UserError
from mmcl.evaluation.ensemble import SCHEMA, fit_weights, fuse, read_scores, write_ensemble
from mmcl.store import Batch, Column, write

CLASSES = 3


def scores(path, names, logits, labels):
    rows = {name: (z, y) for name, z, y in zip(names, logits, labels, strict=True)}

    def work(batch):
        return Batch(
            batch, {"logits": [rows[n][0] for n in batch], "labels": [rows[n][1] for n in batch]}, {}
        )

    def finish(h5: h5py.File):
        h5["classes/id"] = np.array(["A001", "A002", "A003"], dtype=h5py.string_dtype())
        h5["classes/name"] = np.array(["drink", "eat", "wave"], dtype=h5py.string_dtype())

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"logits": Column("float32", (CLASSES,)), "labels": Column("int64")}
    write(
        path, schema=SCHEMA, settings={}, names=names, columns=columns, batch_size=4, work=work, finish=finish
    )
    (path.parent / "metrics.json").write_text(json.dumps({"left_out": [{"name": "bad", "reason": "empty"}]}))
    return path


def test_fuse_is_a_weighted_sum_of_raw_logits():
    logits = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert np.array_equal(fuse(logits, [2, 1]), 2 * logits[0] + logits[1])


def test_fit_prefers_the_member_that_knows():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 200)
    good = 3.0 * np.eye(CLASSES)[labels] + rng.normal(0, 1, (200, CLASSES))
    noise = rng.normal(0, 1, (200, CLASSES))
    weights = fit_weights(np.stack([noise, good]), labels)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights[1] > 0.9


def test_fit_reaches_the_least_cross_entropy_of_a_grid():
    rng = np.random.default_rng(1)
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
    members = [{"stream": "joint", "graph": "natural", "backbone": "ctrgcn"}]
    members.append({**members[0], "stream": "bone"})
    files = [
        scores(tmp_path / f"{seed}/{i}/scores.h5", names, z, labels)
        for seed, pair in enumerate([(right, wrong), (wrong, wrong)])
        for i, z in enumerate(pair)
    ]
    output = tmp_path / "ensemble.json"
    ensemble = {"members": members, "weights": kind, "preset": [3.0, 1.0]}
    settings = {"benchmark": "b", "question": "q", "seeds": [1, 2], "ensemble": ensemble}
    fit = files[:2] if kind == "fitted" else []
    metrics = [file.parent / "metrics.json" for file in files[:2]]
    write_ensemble(output, scores=files, metrics=metrics, fit=fit, settings=settings)
    result = json.loads(output.read_text())
    weights = {"equal": [0.5, 0.5], "preset": [3.0, 1.0], "fitted": [1.0, 0.0]}[kind]
    assert [m["weight"] for m in result["members"]] == pytest.approx(weights, abs=1e-5)
    assert [m["top1"] for m in result["members"]] == [100.0, 75.0]
    assert result["clips"] == 4
    assert result["left_out"] == [{"name": "bad", "reason": "empty"}]
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
    }
    assert result["weights_from"] == kind
    assert ("weights_fitted_on_clips" in result) == (kind == "fitted")
