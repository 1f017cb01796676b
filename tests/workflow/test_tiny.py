"""What a finished run holds."""

import json
import subprocess
import sys

import h5py
import pytest
from PIL import Image
from system_calls import asked_for, need_trace

from mmcl.inspect import inspect
from mmcl.naming import slug

INSTRUCTION = "whether the people are holding objects?"


def result(run, path="results/tiny/ensemble.json"):
    return json.loads((run.folder / path).read_text())


def failed(run, path):
    with h5py.File(run.folder / path, "r") as h5:
        return dict(zip(h5["failed/names"].asstr()[:], h5["failed/reason"].asstr()[:], strict=True))


def test_the_ensemble_has_the_documented_keys(finished):
    ensemble = result(finished)
    keys = "benchmark question classes clips left_out members weights_from top1 top5 mean_class_accuracy per_class"
    assert set(f"{keys} seeds mean sd settings versions".split()) <= set(ensemble)
    assert ensemble["classes"] == 4
    assert ensemble["question"] == slug(INSTRUCTION)
    assert [m["stream"] for m in ensemble["members"]] == ["joint", "bone"]
    assert sum(m["weight"] for m in ensemble["members"]) == pytest.approx(1.0, abs=1e-5)
    assert ensemble["weights_from"] == "fitted"
    # subjects 1 and 3 train; every fifth of them, the first, is held out to fit the weights
    assert ensemble["weights_fitted_on_clips"] >= 4
    assert sum(c["clips"] for c in ensemble["per_class"]) == ensemble["clips"] >= 8
    assert {c["id"] for c in ensemble["per_class"]} == {"A001", "A023", "A050", "A096"}


def test_accuracy_follows_from_the_stored_scores(finished):
    """ensemble.json recomputed by hand from the files beside it."""
    import numpy as np

    ensemble = result(finished)
    fused, labels = 0.0, None
    for member in ensemble["members"]:
        with h5py.File(finished.folder / member["run"] / "scores.h5", "r") as h5:
            order = np.argsort(h5["names"].asstr()[:])
            fused = fused + member["weight"] * h5["logits"][:][order]
            labels = h5["labels"][:][order]
    assert ensemble["top1"] == pytest.approx(100 * (fused.argmax(1) == labels).mean(), abs=0.01)


def test_answers_are_examined(copy):
    report = "results/tiny/report/answers.json"
    assert copy.jobs(report) == {"examine_answers": 1}
    said = copy(report)
    [question] = result(copy, report)["questions"]
    assert question["clips"] + question["without"] == result(copy, report)["clips"] > 8
    assert question["verdict"] in said
    with Image.open(copy.folder / "results/tiny/report/answers.png") as image:
        assert image.width > 500
    assert copy.jobs(report) == {}


def test_damaged_recordings_are_listed_with_their_reason(finished):
    drawn = json.loads((finished.folder / "results/demo/raw/tiny/drawn.json").read_text())
    damaged = {clip["name"]: clip["damage"] for clip in drawn["clips"] if clip.get("damage")}
    assert len(damaged) >= 5
    no_skeleton = failed(finished, "results/skeletons/tiny.h5")
    no_picture = failed(finished, "results/crops/tiny/000-of-001.h5")
    reported = set(no_skeleton) | set(no_picture)
    # a video that breaks off half way and a skeleton with some NaN frames are used as far as they go
    usable = {name for name, damage in damaged.items() if damage in ("some_frames_nan", "video_breaks_off")}
    assert len(usable) == 2
    assert set(damaged) - usable <= reported
    assert all(reason for reason in [*no_skeleton.values(), *no_picture.values()])
    assert "no person" in " ".join(no_picture.values())
    # every clip of the index has a picture or a reason, in each stage
    with h5py.File(finished.folder / "results/crops/tiny/000-of-001.h5", "r") as h5:
        cropped = set(h5["names"].asstr()[:])
    with h5py.File(finished.folder / "results/skeletons/tiny.h5", "r") as h5:
        prepared = set(h5["names"].asstr()[:])
    names = {clip["name"] for clip in drawn["clips"]}
    assert cropped | set(no_picture) == names
    assert prepared | set(no_skeleton) == names
    # those without a skeleton that belong to the test are left out of the result, by name
    left_out = {clip["name"] for clip in result(finished)["left_out"]}
    assert left_out == {name for name in no_skeleton if int(name[9:12]) % 2 == 0}


def test_zero_shot_counts_every_target_clip(finished):
    paper = result(finished, "results/tiny/zero-shot/tiny_target.json")["subsets"]["paper"]
    # squat down is a class the tiny models were not trained on: left out, and counted
    assert paper["clips"] == 4
    assert sum(entry["clips"] for entry in paper["left_out"]) == 2
    rows = {(row["member"], row["refined"]) for row in paper["models"]}
    assert {("ensemble", False), ("ctrgcn-natural-joint", False), ("ctrgcn-natural-joint", True)} <= rows
    for row in paper["models"]:
        assert row["top1"] == pytest.approx(100 * row["top1_hits"] / 4, abs=0.01)
        assert row["interval"][0] <= row["top1"] <= row["interval"][1]


def test_settings_are_beside_the_model(finished):
    folder = finished.folder / finished.trained("tiny")
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["settings"]["train"]["epochs"] == 2
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert not (folder / "last.pt").exists()


def test_no_connection_is_attempted(finished):
    assert finished.attempts.read_text() == ""


def test_no_system_call_asks_for_an_address(finished):
    need_trace()
    assert asked_for(finished.calls) == []


def test_nothing_is_installed_at_run_time(finished):
    assert "AutoUpdate" not in finished.said
    assert "pip install" not in finished.said


def test_the_summary_shows_table_reasons_and_pictures(copy):
    command = [sys.executable, "-m", "mmcl.report.summary", "tiny"]
    said = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=True).stdout
    ensemble = result(copy)
    for number in (ensemble["top1"], ensemble["members"][0]["top1"]):
        assert f"{number:.2f}" in said
    assert "tiny_target" in said
    for clip in ensemble["left_out"]:
        assert f"{clip['name']}: {clip['reason']}"[:60] in said
    for picture in ("montages", "confusion", "training"):
        path = f"results/tiny/report/{picture}.png"
        assert path in said
        with Image.open(copy.folder / path) as image:
            assert min(image.size) > 200


def test_inspect_opens_every_store_of_the_run(copy):
    stores = sorted(str(path) for path in (copy.folder / "results").rglob("*.h5"))
    assert len(stores) >= 10
    command = [sys.executable, "-m", "mmcl", "inspect", *stores, "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["stores"]
    assert [one["path"] for one in found] == stores
    for one in found:
        assert one["complete"]
        assert all(array["description"] and array["unit"] for array in one["arrays"].values()), one["path"]
        assert max(map(len, inspect(one["path"]).splitlines()[1:])) <= 80
    assert "whether the people are holding objects?" in {one["attributes"].get("question") for one in found}
    assert copy.jobs("results/tiny/ensemble.json") == {}


def test_commands_take_a_benchmark_a_run_or_a_file(finished, tmp_path):
    run, store = finished.trained("tiny"), "results/skeletons/tiny.h5"

    def mmcl(*arguments):
        command = [sys.executable, "-m", "mmcl", *arguments]
        return subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=True).stdout

    by_file, by_folder, by_member = (
        mmcl("predict", *named, store, "--top", "1")
        for named in ([f"{run}/model.pt"], [run], ["tiny", "--member", "ctrgcn-natural-joint"])
    )
    assert by_file == by_folder == by_member
    assert by_file.count("\n") > 8
    together = mmcl("predict", "results/tiny", store, "--top", "1")
    # the ensemble's weights are fitted: one member has it all here
    [chosen] = [m for m in result(finished)["members"] if m["weight"] == 1.0]
    assert together == mmcl("predict", chosen["run"], store, "--top", "1")
    assert mmcl("inspect", "tiny").count("mmcl.scores/1") == 2
    assert mmcl("inspect", run).count("mmcl.scores/1") == 1
    same = tmp_path / "same.json"
    mmcl("compare", run, "results/tiny", "--json", str(same))
    assert json.loads(same.read_text())["clips"] == result(finished)["clips"]
    mmcl("export", "tiny", str(tmp_path / "net.pt2"), "--member", "ctrgcn-hd21-bone")
    assert (tmp_path / "net.pt2").stat().st_size > 10_000


def test_at_the_end_it_is_said_where_everything_lies(finished):
    said = finished.said[finished.said.index(" jobs finished in ") :]
    top1, clips = (result(finished)[key] for key in ("top1", "clips"))
    assert said.split("Results:\n")[1].splitlines()[:4] == [
        f"  results/tiny/ensemble.json (top-1 {top1:.2f} % of {clips} test clips)",
        "  results/tiny/zero-shot/tiny_target.json",
        "Report: mmcl report tiny",
        "Logs: results/logs",
    ]
    assert "\x1b" not in finished.said
    assert "1 of 24 steps" in finished.said
