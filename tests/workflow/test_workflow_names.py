"""Folders and files whose names mean something to Snakemake or a shell."""

import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT, Run

NAMES = ["my {data} ü's", "{dataset} $HOME; `x`"]


def make_own(folder, name: str) -> Run:
    """A run on a few clips whose data folder, layout, list of exclusions and config file have this name."""
    data = folder / name
    subprocess.run([sys.executable, PROJECT / "examples/own-data/make_clips.py", data], check=True)
    layout, out = folder / f"{name}.json", folder / f"{name}.txt"
    shutil.copy(PROJECT / "resources/layouts/ntu25.json", layout)
    out.write_text("wave-1\n")
    run = Run(folder / "run")
    run.folder.mkdir()
    run.config = folder / f"{name}.yaml"
    mine = {"reader": "own", "skeletons": str(data), "threads": 1, "options": {"layout": str(layout)}}
    plain = {"fam": {"enabled": False}, "frm": {"enabled": False}}
    benchmark = {"dataset": "mine", "protocol": "given", "exclude": str(out), "model": plain}
    benchmark["ensemble"] = {"members": [{"stream": "joint"}], "weights": "equal"}
    config = {"instruction": "is it?", "datasets": {"mine": mine}, "benchmarks": {"mine": benchmark}}
    run.config.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return run


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_data_layout_exclusions_and_config_works(tmp_path, name):
    run = make_own(tmp_path, name)
    run("results/skeletons/mine.h5")
    assert run.jobs("results/mine/ensemble.json") == {"train_stream": 1, "score_stream": 1, "ensemble": 1}
    # a layout that is no input of Snakemake's is noticed by its content
    (tmp_path / f"{name}.json").write_text((PROJECT / "resources/layouts/ntu25.json").read_text() + "\n")
    assert run.jobs("results/skeletons/mine.h5") == {"prepare_skeletons": 1}


def test_python_in_a_folder_with_a_space(tmp_path):
    run = make_own(tmp_path, "clips")
    environment = tmp_path / "my envi'ronment $HOME"
    environment.symlink_to(sys.prefix)
    command = run.command("results/index/mine.tsv")
    command[0] = str(environment / "bin" / "python")
    subprocess.run(command, cwd=run.folder, check=True, capture_output=True)
    assert (run.folder / "results/index/mine.tsv").is_file()
