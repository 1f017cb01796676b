"""Zero-shot evaluation with models of known answers; the real ones are in the tiny workflow."""

import json
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from made_scores import member
from seeds import shifted

from mmcl.datasets.prepare import SkeletonStore, index_clips, prepare_skeletons
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.evaluation import score
from mmcl.evaluation.zero_shot import write_zero_shot
from mmcl.settings.jobs import Indexing, Preparation, ZeroShot
from mmcl.settings.protocol import SelectionSettings
from mmcl.store import TEXT, Batch, Column, write
from mmcl.training import trained as trained_streams

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
            good,
            rows | dict.fromkeys(("subject", "camera", "setup"), one) | {"split": [""] * len(good)},
            {"a6_s9_t9": "is empty"},
        )

    def finish(h5: h5py.File):
        h5["offset"] = np.arange(len(CLIPS))
        h5["classes/id"] = np.array(IDS, dtype=TEXT)
        h5["classes/name"] = np.array(IDS, dtype=TEXT)
        for key in ("subject", "camera", "setup"):
            h5[f"failed/{key}"] = [1]
        for key, text in (("action", "a6"), ("split", "")):
            h5[f"failed/{key}"] = np.array([text], dtype=TEXT)

    columns = {"joints": Column("float32", (20, 3), flat=True), "labels": Column("int64")}
    columns |= {k: Column("int32") for k in ("frames", "persons", "subject", "camera", "setup")}
    columns["split"] = Column("text")
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
    """Two models: `right` knows every clip it can know, `wrong` always gives A001, with higher scores."""

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

    def load_model(path, device):
        refinement = object() if "frm" in path.name else None
        kind = path.name.split("-")[0]
        return SimpleNamespace(
            kind=kind, classes=SOURCE, layout="ntu25", persons=2, model=SimpleNamespace(refinement=refinement)
        )

    monkeypatch.setattr(trained_streams, "load_model", load_model)
    monkeypatch.setattr(score, "predict", predict)
    ensemble = tmp_path / "ensemble.json"
    members = [member("joint"), member("bone", "hd21")]

    def evaluate(models=("right", "wrong"), answers=(), **settings):
        first, second = settings.get("members", members)
        # in another order: weights belong to members by name
        trained = {"run": "run", "top1": 50.0}
        weighted = [second | trained | {"weight": 0.2}, first | trained | {"weight": 0.8}]
        ensemble.write_text(json.dumps({"members": weighted, "seeds": []}))
        known = {"benchmark": "b", "target": "t", "class_map": "utd_mhad", "members": members, "seed": 1}
        output = tmp_path / "out.json"
        write_zero_shot(
            output,
            models=[tmp_path / model for model in models],
            ensemble=ensemble,
            skeletons=skeletons(tmp_path / "skeletons.h5"),
            answers=answers,
            settings=ZeroShot.model_validate(known | settings),
            threads=1,
        )
        return json.loads(output.read_text())

    return evaluate


@pytest.fixture
def of_all_classes(tmp_path, monkeypatch):
    """A prepared data set under a model that knows NTU-120 and always says the class given, on real clips."""

    def evaluate(dataset, class_map, says):
        classes = [f"A{number:03d}" for number in range(1, 121)]
        trained = SimpleNamespace(
            classes=classes, layout="ntu25", persons=2, model=SimpleNamespace(refinement=None)
        )

        def predict(_, clips):
            assert all(clip.shape[1:] == (1, 25, 3) and np.isfinite(clip).all() for clip in clips)
            logits = np.zeros((len(clips), 120), np.float32)
            logits[:, classes.index(says)] = 1.0
            return logits

        monkeypatch.setattr(trained_streams, "load_model", lambda path, device: trained)
        monkeypatch.setattr(score, "predict", predict)
        index, raw, reader = tmp_path / "index.tsv", tmp_path / "raw", {"reader": dataset}
        index_clips(Indexing.model_validate(reader), index, raw)
        prepare_skeletons(index, tmp_path / "target.h5", Preparation.model_validate(reader), raw)
        members = [member("joint")]
        weighted = [members[0] | {"weight": 1.0, "run": "run", "top1": 50.0}]
        (tmp_path / "ensemble.json").write_text(json.dumps({"members": weighted, "seeds": []}))
        known = {"benchmark": "b", "target": "t", "class_map": class_map, "members": members, "seed": 1}
        write_zero_shot(
            tmp_path / "out.json",
            models=[tmp_path / "model.pt"],
            ensemble=tmp_path / "ensemble.json",
            skeletons=tmp_path / "target.h5",
            answers=[],
            settings=ZeroShot.model_validate(known),
            threads=1,
        )
        return json.loads((tmp_path / "out.json").read_text())["subsets"]

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
        ("ctrgcn-natural-joint", False): 3,
        ("ctrgcn-hd21-bone", False): 0,
        ("ensemble", False): 3,
    }
    assert rows(result, "mapped")["ctrgcn-natural-joint", False] == 4
    best = result["subsets"]["paper"]["models"][0]
    assert (best["top1"], best["top5"], best["top5_hits"]) == (100.0, 100.0, 3)
    assert best["interval"] == [43.85, 100.0]


@pytest.mark.real
def test_the_papers_subset_of_utd_mhad_has_191_clips(of_all_classes, mmcl_data, tmp_path):
    with zipfile.ZipFile(mmcl_data / "utd-mhad-skeleton.zip") as archive:
        archive.extractall(tmp_path / "raw")
    subsets = of_all_classes("utd_mhad", "utd_mhad", "A080")
    # 6 classes × 8 subjects × 4 trials, less a27_s8_t4, which was corrupt when the set was made
    assert subsets["paper"]["clips"] == 191
    clips = {entry["id"]: (entry["source"], entry["clips"]) for entry in subsets["paper"]["classes"]}
    assert clips == {
        "a3": ("A023", 32),
        "a6": ("A096", 32),
        "a7": ("A063", 32),
        "a24": ("A009", 32),
        "a25": ("A008", 32),
        "a27": ("A080", 31),
    }
    # the paper's N: its percentages are k of 191, such as 54.97 = 105 / 191
    always_squat = subsets["paper"]["models"][0]
    assert (always_squat["top1_hits"], always_squat["top1"]) == (31, 16.23)
    assert subsets["mapped"]["clips"] == 191 + 4 * 32
    # 861 clips in all
    assert sum(entry["clips"] for entry in subsets["mapped"]["left_out"]) == 861 - 319


def test_the_papers_subset_of_sysu_has_120_clips(of_all_classes, tmp_path):
    """On files made in the data set's form: 12 activities × 40 subjects."""
    (tmp_path / "raw").mkdir()
    row = " ".join(map(str, np.random.default_rng(shifted(0)).normal(0, 0.5, 60).round(4)))
    for action in range(1, 13):
        for subject in range(1, 41):
            (tmp_path / f"raw/a{action:02d}_s{subject:02d}.txt").write_text(f"{row}\n{row}\n")
    subsets = of_all_classes("sysu", "sysu", "A001")
    assert (subsets["paper"]["clips"], subsets["mapped"]["clips"]) == (120, 240)
    assert [entry["source"] for entry in subsets["paper"]["classes"]] == ["A001", "A028", "A029"]
    assert (subsets["paper"]["models"][0]["top1_hits"], subsets["paper"]["models"][0]["top1"]) == (40, 33.33)
    store = SkeletonStore(tmp_path / "target.h5")
    for setting in ("sysu_setting1", "sysu_setting2"):
        selection = select(store, SelectionSettings(protocol=setting))
        assert (selection.train.sum(), selection.test.sum()) == (240, 240)


def test_what_takes_no_part_is_listed(run):
    subsets = run()["subsets"]
    lacking = {"class": "a7", "clips": 1, "reason": "the models were not trained on A063"}
    unusable = {"name": "a6_s9_t9", "clips": 1, "reason": "is empty"}
    unmapped = {"class": "a9", "clips": 1, "reason": "no counterpart among the source's classes"}
    assert subsets["paper"]["left_out"] == [lacking, unusable]
    assert subsets["mapped"]["left_out"] == [lacking, unmapped, unusable]


def test_without_answers_there_are_no_refined_rows_and_a_reason(run):
    assert run()["refinement"] == {"clips_with_answer": 0, "absent": "FRM is off"}
    assert run(("right-frm", "wrong-frm"))["refinement"]["absent"] == "the target has no videos"


def test_refined_scores_are_given_beside_the_plain_ones(run, monkeypatch):
    def refine(trained, logits, answers, names):
        return -logits, np.array([True] * (len(names) - 1) + [False])

    monkeypatch.setattr(score, "refine", refine)
    monkeypatch.setattr("mmcl.evaluation.zero_shot.Shards", lambda paths, schema: None)
    result = run(("right-frm", "wrong-frm"), answers=["answers.h5"])
    assert result["refinement"] == {"clips_with_answer": 3}
    found = rows(result, "paper")
    assert found["ctrgcn-natural-joint", False] == 3
    assert found["ctrgcn-natural-joint", True] == 0
    assert {name for name, refined in found if refined} == {
        "ctrgcn-natural-joint",
        "ctrgcn-hd21-bone",
        "ensemble",
    }


def test_an_unknown_class_map_is_named(run):
    with pytest.raises(UserError, match="no class map 'nothing'"):
        run(class_map="nothing")


def test_members_that_differ_in_the_backbone_are_rows_of_their_own(run):
    members = [member("joint"), member("joint", backbone="ctrs")]
    found = rows(run(members=members), "paper")
    assert (found["ctrgcn-natural-joint", False], found["ctrs-natural-joint", False]) == (3, 0)
    assert len(found) == 3
