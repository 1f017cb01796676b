"""Mean and interval over folds."""

import csv
import json

import pytest

from mmcl.evaluation.folds import t_interval, write_folds
from mmcl.evaluation.metrics import FIGURES
from mmcl.settings.jobs import FoldsResult


def written(folder, top1, clips=(10, 10, 20)):
    ensembles = []
    for fold, (value, count) in enumerate(zip(top1, clips, strict=False), 1):
        path = folder / f"{fold}.json"
        mean = dict.fromkeys(FIGURES, 50.0) | {"top1": value, "nll": 1.5 + fold}
        path.write_text(json.dumps({"clips": count, "left_out": [{"name": "x"}] * (fold == 1), "mean": mean}))
        ensembles.append(path)
    settings = FoldsResult(
        protocol="folds5",
        benchmark="mine",
        dataset="d",
        seeds=(1,),
        ensembles=[*map(str, ensembles)],
        version=1,
    )
    write_folds(folder / "folds.json", folder / "folds.csv", ensembles=ensembles, settings=settings)
    return json.loads((folder / "folds.json").read_text())


def test_students_t():
    # t(0.975, 2) = 4.302653, s = 10
    low, high = t_interval([70.0, 80.0, 90.0])
    assert (low, high) == (pytest.approx(80 - 24.8414, abs=1e-3), pytest.approx(80 + 24.8414, abs=1e-3))


def test_the_result_of_three_folds(tmp_path):
    result = written(tmp_path, [70.0, 80.0, 90.0])
    assert [fold["top1"] for fold in result["folds"]] == [70.0, 80.0, 90.0]
    assert (result["mean"]["top1"], result["sd"]["top1"]) == (80.0, 10.0)
    assert result["interval"]["top1"] == [55.16, 100.0]  # no percentage is above 100
    assert result["interval"]["nll"][1] > result["mean"]["nll"] == 3.5
    assert result["pooled_top1"] == 82.5
    assert result["folds"][0]["left_out"] == 1
    assert "Student's t over folds" in result["note"]
    rows = list(csv.DictReader((tmp_path / "folds.csv").open()))
    assert [row["fold"] for row in rows] == ["1", "2", "3", "mean", "sd", "low", "high"]
    assert [float(row["top1"]) for row in rows[3:]] == [80.0, 10.0, 55.16, 100.0]


def test_a_figure_that_a_fold_lacks_has_no_mean(tmp_path):
    result = written(tmp_path, [70.0, None])
    assert (result["mean"]["top1"], result["interval"]["top1"]) == (None, [None, None])
    assert result["mean"]["top5"] == 50.0
