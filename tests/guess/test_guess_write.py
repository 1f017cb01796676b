"""`mmcl init --data`: what is written, and what the command says."""

import csv
import json

import numpy as np
import pytest
import yaml
from made_folders import clip, flat
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.config import load
from mmcl.plan import Plan


@pytest.fixture
def data(tmp_path):
    return flat(tmp_path / "My clips", "{person}_{label}_{take}")


def init(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def test_a_working_directory_that_can_be_planned(tmp_path, data, monkeypatch):
    result = init(tmp_path / "study", "--data", data)
    assert result.exit_code == 0, result.output
    assert "next: cd" in result.output
    assert "snakemake --cores 2 results/my_clips/ensemble.json" in result.output
    folder = tmp_path / "study"
    with open(folder / "my_clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert rows[0]["subject"] == "alice"
    text = (folder / "config.yaml").read_text()
    assert "# layout: ntu25 (25 joints, and its bones are" in text
    monkeypatch.chdir(folder)
    config = load(folder / "config.yaml")
    assert not config.benchmark("my_clips").model.fam.enabled
    plan = Plan(config)
    wildcards = type("W", (), {"benchmark": "my_clips"})
    assert len(plan.fold_ensembles(wildcards)) == 4
    assert len(plan.member_files("scores.h5", "seeds")(wildcards)) == 2
    # what was there before is there still
    before = yaml.safe_load((folder / "config.yaml").read_text())
    assert before["datasets"]["ntu60"]["reader"] == "ntu"


def test_json_and_a_second_data_set(tmp_path, data):
    first = init(tmp_path / "study", "--data", data, "--name", "one", "--json")
    assert first.exit_code == 0
    told = json.loads(first.stdout)
    assert told["dataset"]["options"]["layout"] == "ntu25"
    assert {guess["what"] for guess in told["guesses"]} >= {"reader", "layout", "unit", "label", "subject"}
    assert init(tmp_path / "study", "--data", data, "--name", "two").exit_code == 0
    config = load(tmp_path / "study" / "config.yaml")
    assert {"one", "two"} <= set(config.benchmarks)
    assert {"one_folds", "two_folds"} <= set(config.protocols)
    again = init(tmp_path / "study", "--data", data, "--name", "two")
    assert again.exit_code == 1
    assert "datasets.two is there already; choose another name with --name" in again.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--name", "demo"], 1, "datasets.demo is there already"),
        (["--name", "My"], 2, "lower-case letters"),
    ],
)
def test_names_that_cannot_be(tmp_path, data, arguments, code, message):
    result = init(tmp_path / "study", "--data", data, *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.output.split())


def test_without_labels_there_is_no_benchmark(tmp_path):
    (tmp_path / "new").mkdir()
    for number in range(3):
        np.save(tmp_path / "new" / f"{number:03d}.npy", clip("ntu25", 0, number))
    result = init(tmp_path / "study", "--data", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert "mmcl predict MODEL new" in result.output
    config = load(tmp_path / "study" / "config.yaml")
    assert "new" in config.datasets
    assert "new" not in config.benchmarks


def test_a_layout_that_is_not_known_is_written(tmp_path, data, monkeypatch):
    for path in data.iterdir():
        np.save(path, np.load(path)[:, [0, 1, 20, 3, 4, 5, 6, 8, 9, 10, 12, 13, 16, 17]])
    assert init(tmp_path / "study", "--data", data).exit_code == 0
    monkeypatch.chdir(tmp_path / "study")
    config = load("config.yaml")
    assert config.dataset("my_clips").options.layout == "my_clips-layout.json"
    assert len(json.loads((tmp_path / "study/my_clips-layout.json").read_text())["joints"]) == 14
