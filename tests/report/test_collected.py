import json
from pathlib import Path

import numpy as np
import pytest
from made_benchmark import make, zero_shot
from made_scores import LEFT_OUT

from mmcl.errors import UserError
from mmcl.evaluation.metrics import wilson
from mmcl.report.collected import classes, collect, confused, interval, probes, training, transfer
from mmcl.report.sources import find_sources


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("report")
    make(made, classes=4, streams=2, seeds=2, clips=8)
    return made


def test_numbers_are_those_of_the_ensemble(folder):
    result = json.loads((folder / "results/many/ensemble.json").read_text())
    found = collect(find_sources(folder / "results/many"))
    own = found["accuracy"]["ensemble"]
    assert (own["top1"], own["top5"]) == (result["top1"], result["top5"])
    assert (own["mean"], own["sd"]) == (result["mean"]["top1"], result["sd"]["top1"])
    assert own["interval"] == wilson(sum(np.diag(result["confusion"])), 32)
    assert own["seeds"] == [one["top1"] for one in result["seeds"]]
    for row, member in zip(found["accuracy"]["members"], result["members"], strict=True):
        assert (row["top1"], row["mean"], row["sd"]) == (member["top1"], member["mean"], member["sd"])
        assert row["interval"][0] <= row["top1"] <= row["interval"][1]
        assert row["share"] == 0.5
    assert found["left_out"] == [{"what": "test clips without a result", "clips": LEFT_OUT}]
    assert found["times"] == [{"stage": "training of the members", "jobs": 4, "seconds": 120.0}]
    assert found["training"]["columns"] == ["loss", "accuracy", "test_top1"]
    [first, second] = found["training"]["histories"]["ctrgcn-natural-joint"]
    assert first["epoch"] == list(range(1, 13))
    assert first["test_top1"][:3] == [None] * 3
    assert first["loss"] != second["loss"]
    # nothing of what there is not
    assert not {"gain", "transfer", "probes", "answers", "cost", "paper"} & set(found)
    json.dumps(found, allow_nan=False)


def test_the_gain_is_that_of_compare(folder):
    found = collect(find_sources(folder / "results/many", folder / "results/plain"))["gain"]
    assert (found["baseline"], found["candidate"]) == ("plain", "many")
    plain, many = (
        json.loads((folder / f"results/{name}/ensemble.json").read_text())["mean"]["top1"]
        for name in ("plain", "many")
    )
    assert found["mean"]["difference"] == pytest.approx(many - plain, abs=0.011)
    assert len(found["per_class"]) == 4


def test_confused_pairs_are_sorted_and_counted():
    names = [{"id": f"A{i}", "name": "x"} for i in range(3)]
    found = confused({"confusion": [[5, 1, 2], [2, 0, 0], [0, 0, 9]], "per_class": names})
    assert found["wrong"] == 5
    assert [(p["class"], p["taken_for"], p["clips"], p["of"], p["share"]) for p in found["pairs"]] == [
        ("A1 x", "A0 x", 2, 2, 100.0),
        ("A0 x", "A2 x", 2, 8, 25.0),
        ("A0 x", "A1 x", 1, 8, 12.5),
    ]


def test_classes_without_clips_come_last():
    made = [(0, None), (4, 75.0), (2, 50.0)]
    rows = [{"id": i, "clips": clips, "top1": top1} for i, (clips, top1) in enumerate(made)]
    found = classes({"per_class": rows})
    assert [one["id"] for one in found] == [2, 1, 0]
    assert found[1]["interval"] == wilson(3, 4)
    assert found[2]["interval"] is None


def test_an_interval_of_a_rounded_accuracy():
    assert interval(33.33, 3) == wilson(1, 3)


def test_transfer_of_both_subsets(folder):
    zero_shot(folder)
    sources = find_sources(folder / "results/many")
    assert [path.name for path in sources.zero_shot] == ["utd_mhad.json"]
    found = collect(sources)["transfer"]
    subsets = [(part["subset"], part["clips"], len(part["models"])) for part in found]
    assert subsets == [("paper", 48, 4), ("mapped", 60, 4)]
    # the same clips twice are shown once, and a subset without clips not at all
    result = json.loads(sources.zero_shot[0].read_text())
    result["subsets"]["mapped"]["clips"] = 48
    assert len(transfer([result])) == 1
    result["subsets"]["paper"]["clips"] = result["subsets"]["mapped"]["clips"] = 0
    assert transfer([result]) == []


def value(mean: float, sd: float | None = None) -> dict:
    return {"mean": mean, "sd": sd, "seeds": [mean]}


def test_probes():
    part = {
        "clips": 8,
        "train_clips": 9,
        "left_out": [],
        "encoders": {"joint": {"top1": value(50.0, 1.0), "knn": {"1": value(25.0)}}},
        "together": {"trained": {"top1": value(75.0)}, "knn": {"1": value(62.5)}},
    }
    found = probes({"probes": {"random": part}, "seeds": [1, 2]})
    assert [(row["encoder"], row["linear"], row["linear_sd"], row["interval"]) for row in found["rows"]] == [
        ("joint", 50.0, 1.0, wilson(4, 8)),
        ("together", 75.0, None, wilson(6, 8)),
    ]
    assert found["rows"][0]["knn"] == {"1": {"mean": 25.0, "sd": None}}


def test_no_history_no_curves(tmp_path):
    assert training({"joint": [tmp_path]}) == {}


def test_a_benchmark_is_named_in_four_ways(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = [find_sources(Path(name)) for name in ("many", "results/many", "results/many/ensemble.json")]
    assert {one.benchmark for one in found} == {"many"}
    assert len({one.root for one in found}) == 1
    (folder / "results/ikem/ikem").mkdir(parents=True)
    (folder / "results/ikem/ikem/result.json").write_text("{}")
    for name in ("ikem", "results/ikem/ikem/result.json"):
        sources = find_sources(Path(name))
        assert (sources.benchmark, sources.finished, sources.skeletons) == ("ikem", None, None)
    with pytest.raises(
        UserError, match=r"other: no finished benchmark; run `snakemake --cores 2 results/other/ens"
    ):
        find_sources(Path("other"))
    with pytest.raises(UserError, match=r"other: no finished benchmark .*, so no baseline"):
        find_sources(Path("many"), Path("other"))
