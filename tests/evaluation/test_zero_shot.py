"""Zero-shot evaluation with models that answer as told; the real ones are in the tiny workflow."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from mmcl.errors import UserError
from mmcl.evaluation import score
from mmcl.evaluation.zero_shot import write_zero_shot
from mmcl.store import TEXT, Batch, Column, write

SOURCE = ["A001", "A010", "A023", "A096"]
CLIPS = {
    "a3_s1_t1": "a3",
    "a3_s2_t1": "a3",
    "a4_s1_t1": "a4",
    "a6_s1_t1": "a6",
    "a7_s1_t1": "a7",
    "a9_s1_t1": "a9",
}
IDS = ["a3", "a4", "a6", "a7", "a9"]


def skeletons(path):
    """Six clips of one frame; joint 1 holds the clip's number."""

    def work(names):
        joints = np.concatenate(
            [np.full((1, 20, 3), float(list(CLIPS).index(n) + 1)) for n in names if n in CLIPS]
        )
        good = [n for n in names if n in CLIPS]
        labels = [IDS.index(CLIPS[n]) for n in good]
        one = [1] * len(good)
        rows = {"joints": joints, "labels": labels, "frames": one, "persons": one}
        return Batch(
            good, rows | dict.fromkeys(("subject", "camera", "setup"), one), {"a6_s9_t9": "is empty"}
        )

    def finish(h5: h5py.File):
        h5["offset"] = np.arange(len(CLIPS))
        h5["classes/id"] = np.array(IDS, dtype=TEXT)
        h5["classes/name"] = np.array(IDS, dtype=TEXT)

    columns = {"joints": Column("float32", (20, 3), flat=True), "labels": Column("int64")}
    columns |= {k: Column("int32") for k in ("frames", "persons", "subject", "camera", "setup")}
    names = [*CLIPS, "a6_s9_t9"]
    more = {"finish": finish, "attributes": {"layout": "utd20"}}
    write(
        path,
        schema="mmcl.skeletons/1",
        settings={},
        names=names,
        columns=columns,
        batch_size=9,
        work=work,
        **more,
    )
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Two models: `right` knows every clip it can know, `wrong` always says A001, more loudly."""

    def predict(trained, clips):
        assert all(clip.shape == (1, 1, 25, 3) for clip in clips)
        logits = np.zeros((len(clips), 4), np.float32)
        if trained.kind == "wrong":
            logits[:, 0] = 3.0
            return logits
        # the number survives the joint map, as weights sum to one
        number = [round(float(clip[0, 0, 0, 0])) for clip in clips]
        truth = {1: 2, 2: 2, 3: 1, 4: 3}
        logits[np.arange(len(clips)), [truth[n] for n in number]] = 1.0
        return logits

    def load_model(path, place):
        frm = object() if "frm" in path.name else None
        kind = path.name.split("-")[0]
        return SimpleNamespace(
            kind=kind, classes=SOURCE, layout="ntu25", persons=2, model=SimpleNamespace(frm=frm)
        )

    monkeypatch.setattr(score, "load_model", load_model)
    monkeypatch.setattr(score, "predict", predict)
    ensemble = tmp_path / "ensemble.json"
    ensemble.write_text(json.dumps({"members": [{"weight": 0.8}, {"weight": 0.2}]}))
    members = [{"stream": "joint", "graph": "natural"}, {"stream": "bone", "graph": "hd21"}]

    def evaluate(models=("right", "wrong"), answers=(), **settings):
        known = {"benchmark": "b", "target": "t", "class_map": "utd_mhad", "members": members, "seed": 1}
        output = tmp_path / "out.json"
        write_zero_shot(
            output,
            models=[tmp_path / model for model in models],
            ensemble=ensemble,
            skeletons=skeletons(tmp_path / "skeletons.h5"),
            answers=answers,
            settings=known | settings,
            threads=1,
        )
        return json.loads(output.read_text())

    return evaluate


def rows(result, subset):
    return {(r["member"], r["refined"]): r["top1_hits"] for r in result["subsets"][subset]["models"]}


def test_hits_are_counted_per_subset(run):
    result = run()
    assert result["source_classes"] == 4
    # paper: a3 twice and a6; mapped has a4 as well
    assert result["subsets"]["paper"]["clips"] == 3
    assert result["subsets"]["mapped"]["clips"] == 4
    # 0.8 of a right 1.0 against 0.2 of a wrong 3.0
    assert rows(result, "paper") == {
        ("joint-natural", False): 3,
        ("bone-hd21", False): 0,
        ("ensemble", False): 3,
    }
    assert rows(result, "mapped")["joint-natural", False] == 4
    best = result["subsets"]["paper"]["models"][0]
    assert (best["top1"], best["top5"], best["top5_hits"]) == (100.0, 100.0, 3)
    assert best["interval"] == [43.85, 100.0]


def test_what_takes_no_part_is_told(run):
    subsets = run()["subsets"]
    lacking = {"class": "a7", "clips": 1, "reason": "the models were not trained on A063"}
    unusable = {"name": "a6_s9_t9", "clips": 1, "reason": "is empty"}
    unmapped = {"class": "a9", "clips": 1, "reason": "no counterpart among the source's classes"}
    assert subsets["paper"]["left_out"] == [lacking, unusable]
    assert subsets["mapped"]["left_out"] == [lacking, unmapped, unusable]


def test_without_answers_there_are_no_refined_rows_and_a_reason(run):
    assert run()["refinement"] == {"clips_with_answer": 0, "absent": "FRM is off"}
    assert run(("right-frm", "wrong-frm"))["refinement"]["absent"] == "the target has no videos"


def test_refined_scores_stand_beside_the_plain_ones(run, monkeypatch):
    def refine(trained, logits, answers, names):
        return -logits, np.array([True] * (len(names) - 1) + [False])

    monkeypatch.setattr(score, "refine", refine)
    monkeypatch.setattr("mmcl.evaluation.zero_shot.Shards", lambda paths, schema: None)
    result = run(("right-frm", "wrong-frm"), answers=["answers.h5"])
    assert result["refinement"] == {"clips_with_answer": 3}
    found = rows(result, "paper")
    assert found["joint-natural", False] == 3
    assert found["joint-natural", True] == 0
    assert {name for name, refined in found if refined} == {"joint-natural", "bone-hd21", "ensemble"}


def test_an_unknown_class_map_is_named(run):
    with pytest.raises(UserError, match="no class map 'nothing'"):
        run(class_map="nothing")
