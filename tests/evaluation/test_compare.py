import json

import numpy as np
import pytest
from made_scores import benchmark, run_folder, scores
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.errors import UserError
from mmcl.evaluation.compare import compare

EYE = np.eye(3, dtype=np.float32)
RIGHT = [0, 1, 2, 2]


def guessed(*classes):
    return EYE[list(classes)]


def one_stream(*runs):
    """Seed 1, 2, … → the joint stream's guesses."""
    return {seed: {"joint": guessed(*guess)} for seed, guess in enumerate(runs, start=1)}


# right: pqr, pq, pqr, in percent 75, 50, 75; and pqrs, pqr, pqs: 100, 75, 75
BASE = one_stream([0, 1, 2, 0], [0, 1, 0, 0], [0, 1, 2, 0])
BETTER = one_stream(RIGHT, [0, 1, 2, 0], [0, 1, 0, 2])


@pytest.fixture
def pair(tmp_path):
    return [benchmark(tmp_path / "results/base", BASE), benchmark(tmp_path / "results/fam", BETTER)]


def test_paired_over_seeds_and_over_clips(pair):
    result = compare(pair)
    assert result["clips"] == 4
    assert result["notes"] == []
    assert [(r["name"], r["mean"], r["sd"]) for r in result["runs"]] == [
        ("base", 66.67, 14.43),
        ("fam", 83.33, 14.43),
    ]
    found = result["pairs"][0]
    assert (found["baseline"], found["candidate"]) == ("base", "fam")
    assert [row["difference"] for row in found["seeds"]] == [25.0, 25.0, 0.0]
    assert found["mean"] == {"baseline": 66.67, "candidate": 83.33, "difference": 16.67}
    assert found["sd"] == 14.43
    # 16.667 ± 4.3027 · 14.434 / √3
    assert found["interval_over_seeds"] == pytest.approx([16.667 - 35.856, 16.667 + 35.856], abs=0.006)
    # only clip s differs in the mean over seeds, by 200/3; drawn 0 … 3 times of 4
    assert found["interval_over_clips"] == [0.0, 50.0]
    assert found["seeds"][0]["mcnemar"] == {"only_baseline": 0, "only_candidate": 1, "p": 1.0}
    assert found["seeds"][2]["mcnemar"] == {"only_baseline": 1, "only_candidate": 1, "p": 1.0}


def test_classes_are_sorted_by_what_they_gain(pair):
    rows = compare(pair, metric="ece")["pairs"][0]["per_class"]
    # clip s of class 2 is right with 0 of 3 seeds, then with 2 of 3; r with 2 of 3 both times; q is lost once
    assert [(row["id"], row["clips"], row["baseline"], row["candidate"]) for row in rows] == [
        ("A003", 2, 33.33, 66.67),
        ("A001", 1, 100.0, 100.0),
        ("A002", 1, 100.0, 100.0),
    ]
    assert rows[0]["name"] == "wave"
    assert rows[0]["difference"] == 33.33
    assert rows[0]["interval_over_clips"] == [0.0, 66.67]  # r, r to s, s
    assert rows[1]["interval_over_clips"] == [0.0, 0.0]


def test_hard_clips_are_those_that_one_alone_always_has_right(tmp_path, pair):
    assert compare(pair)["pairs"][0]["hard"] == {"only_candidate": [], "only_baseline": []}
    sure = EYE[RIGHT] * np.array([[1], [1], [1], [3]])
    runs = {1: {"joint": guessed(0, 1, 0, 0)}, 2: {"joint": guessed(0, 1, 1, 1)}}
    first = benchmark(tmp_path / "results/never", runs)
    second = benchmark(tmp_path / "results/always", {1: {"joint": sure}, 2: {"joint": EYE[RIGHT]}})
    hard = compare([first, second])["pairs"][0]["hard"]
    assert hard["only_baseline"] == []
    assert [row["name"] for row in hard["only_candidate"]] == ["s", "r"]
    one, three = np.e / (np.e + 2), np.exp(3) / (np.exp(3) + 2)
    assert hard["only_candidate"][0] == {
        "name": "s",
        "class": "A003",
        "class_name": "wave",
        "taken_for": "A001",
        "taken_for_name": "drink",
        "probability": pytest.approx((one + three) / 2, abs=1e-4),
    }
    swapped = compare([second, first])["pairs"][0]["hard"]
    assert swapped["only_baseline"] == hard["only_candidate"]
    result = CliRunner().invoke(app, ["compare", str(first), str(second), "--per-class", "--hard", "1"])
    assert "+100.00" in result.stdout
    assert "1 of 2 clips" in result.stdout
    assert "A003 wave" in result.stdout


def test_a_mean_over_classes_is_drawn_within_classes(pair):
    found = compare(pair, metric="mean_class_accuracy")["pairs"][0]
    assert [row["difference"] for row in found["seeds"]] == [16.67, 16.67, 0.0]
    # class 2 alone differs, by 0 for r and 200/3 for s: two clips drawn, a third of the mean
    assert found["interval_over_clips"] == [0.0, 22.22]
    assert found["seeds"][0]["mcnemar"] is None


def test_other_metrics_have_no_interval_over_clips(pair):
    result = compare(pair, metric="nll")
    found = result["pairs"][0]
    assert found["interval_over_clips"] is None
    # three of four clips right: −ln(e / (e + 2)) = 0.5514, and one more nat for the wrong one
    assert found["seeds"][0]["baseline"] == pytest.approx(0.5514 + 1 / 4, abs=1e-4)
    assert found["seeds"][0]["difference"] == -0.25
    assert result["notes"] == ["nll is no mean over clips or classes: no interval over clips"]


def test_only_common_seeds_are_compared(tmp_path, pair):
    other = benchmark(tmp_path / "results/other", {seed: BETTER[seed] for seed in (3, 1)} | {9: BETTER[1]})
    result = compare([pair[0], other])
    found = result["pairs"][0]
    assert [row["seed"] for row in found["seeds"]] == [1, 3]
    assert found["mean"] == {"baseline": 75.0, "candidate": 87.5, "difference": 12.5}
    assert result["notes"] == ["base has seeds 1, 2, 3, other seeds 3, 1, 9: compared over 1, 3"]


def test_one_seed_has_no_interval_over_seeds(tmp_path, pair):
    other = benchmark(tmp_path / "results/other", {2: BETTER[2]})
    result = compare([pair[0], other])
    assert result["pairs"][0]["interval_over_seeds"] is None
    assert result["pairs"][0]["sd"] is None
    assert result["notes"][1] == "other against base: one seed, so no interval over seeds"


def test_members_are_added_up_with_the_written_weights(tmp_path):
    runs = {1: {"joint": guessed(0, 1, 2, 0), "bone": guessed(*RIGHT)}}
    first = benchmark(tmp_path / "results/first", runs, weights=[3.0, 1.0])
    second = benchmark(tmp_path / "results/second", runs, weights=[1.0, 3.0])
    assert compare([first, second])["pairs"][0]["mean"] == {
        "baseline": 75.0,
        "candidate": 100.0,
        "difference": 25.0,
    }
    # one member alone is the same in both
    assert compare([first, second], member="ctrgcn-natural-bone")["pairs"][0]["mean"]["baseline"] == 100.0
    with pytest.raises(
        UserError,
        match=r"no member 'ctrgcn-natural-hand'; .*ctrgcn-natural-bone, ctrgcn-",
    ):
        compare([first, second], member="ctrgcn-natural-hand")


def test_streams_folders_are_compared(tmp_path, pair):
    benchmark(tmp_path / "results/both", {1: {"joint": guessed(0, 1, 2, 0), "bone": guessed(*RIGHT)}})
    joint, bone = (run_folder(tmp_path / "results/both", stream) for stream in ("joint", "bone"))
    result = compare([joint, bone])
    assert [r["name"] for r in result["runs"]] == [
        "ctrgcn-natural-joint/0000both",
        "ctrgcn-natural-bone/0000both",
    ]
    assert result["pairs"][0]["mean"]["difference"] == 25.0
    # an ensemble by its folder, against a stream
    result = compare([tmp_path / "results/both", joint, pair[0]])
    assert [r["name"] for r in result["runs"]][::2] == ["both", "base"]
    # one seed of a stream
    assert compare([joint / "seed-1", bone])["pairs"][0]["mean"]["difference"] == 25.0
    assert "2 pairs" in result["notes"][-1]
    with pytest.raises(UserError, match="is one stream already"):
        compare([joint, bone], member="ctrgcn-natural-joint")


def test_a_fit_run_is_no_seed(tmp_path):
    benchmark(tmp_path / "results/b", BASE)
    folder = run_folder(tmp_path / "results/b", "joint")
    scores(folder / "seed-1/fit/scores.h5", ["x"], guessed(0), [0])
    scores(folder / "seed-old/scores.h5", ["x"], guessed(0), [0])
    benchmark(tmp_path / "results/c", BETTER)
    other = run_folder(tmp_path / "results/c", "joint")
    assert len(compare([folder, other])["pairs"][0]["seeds"]) == 3


def test_other_clips_and_classes_are_named(tmp_path, pair):
    clips = benchmark(tmp_path / "results/clips", BETTER, names=["p", "q", "r", "t"])
    with pytest.raises(
        UserError, match=r"base and clips seed 1 scored different clips \(4 and 4 clips, 2 in .*, s for"
    ):
        compare([pair[0], clips])
    for form in ({"labels": [0, 1, 2, 1]}, {"ids": ("A001", "A002", "A004")}):
        other = benchmark(tmp_path / "results/classes", BETTER, **form)
        with pytest.raises(UserError, match="base and classes seed 1 scored clips of different classes"):
            compare([pair[0], other])


def test_what_cannot_be_compared_is_named(tmp_path, pair):
    other = benchmark(tmp_path / "results/other", {7: BETTER[1]})
    with pytest.raises(
        UserError, match=r"base/ensemble.json \(seeds 1, 2, 3\) and .*other.* \(seeds 7\): no common seed"
    ):
        compare([pair[0], other])
    with pytest.raises(UserError, match="given twice"):
        compare([pair[0], pair[0].parent])
    with pytest.raises(UserError, match=r"neither a finished benchmark"):
        compare([pair[0], tmp_path])
    (tmp_path / "some.json").write_text("[]")
    with pytest.raises(UserError, match=r"some.json: not an ensemble.json"):
        compare([pair[0], tmp_path / "some.json"])
    joint = run_folder(tmp_path / "results/fam", "joint")
    scores(joint / "seed-2/scores.h5", ["p", "q", "r", "s"], guessed(*RIGHT), RIGHT)
    with pytest.raises(UserError, match=r"records top1 75.0 for seed 2, but its scores.h5 now give 100.0"):
        compare(pair)
    (joint / "seed-3/scores.h5").unlink()
    with pytest.raises(UserError, match=r"seed-3/scores.h5: no such store"):
        compare([pair[1], pair[0]], member="ctrgcn-natural-joint")


def test_the_command(tmp_path, pair):
    run = CliRunner().invoke
    files = [str(path) for path in pair]
    result = run(app, ["compare", *files, "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 0
    assert "+16.67" in result.stdout
    assert "[-19.19, +52.52]" in result.stdout
    assert json.loads((tmp_path / "out.json").read_text()) == compare(pair)
    result = run(app, ["compare", *files, "--metric", "ece"])
    assert "lower is better" in result.stdout
    assert "no interval over clips" in result.stderr
    assert "no interval over clips" not in result.stdout


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([], 2),
        (["nowhere"], 1),
        (["fam", "--metric", "top2"], 2),
        (["fam", "--json", "nowhere/out.json"], 2),
        (["fam", "--member", "ctrgcn-natural-hand"], 1),
        (["."], 1),
    ],
)
def test_exit_status(tmp_path, pair, monkeypatch, more, status):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["compare", "base", *more])
    assert result.exit_code == status
    assert result.stdout == ""
