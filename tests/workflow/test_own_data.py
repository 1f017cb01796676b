"""docs/own-data.md can be pasted as it stands."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmcl.provenance import MARKER, RECORDS

PROJECT = Path(__file__).resolve().parent.parent.parent
LINKED = ("Snakefile", "config.yaml", "workflow", "profiles", "examples", "resources", "mmcl")


@pytest.fixture(scope="module")
def blocks():
    """The code of the page in order: (language, text)."""
    return re.findall(r"^```(bash|yaml)\n(.*?)^```", (PROJECT / "docs/own-data.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, blocks):
    """The project's folder, with results of its own."""
    folder = tmp_path_factory.mktemp("own")
    for name in LINKED:
        (folder / name).symlink_to(PROJECT / name)
    texts = [text for language, text in blocks if language == "yaml"]
    for name, text in zip(("mine.yaml", "filmed.yaml"), texts, strict=True):
        (folder / name).write_text(text)
    return folder


def bash(folder, command):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_recordings_are_set_up_in_one_step(folder, blocks):
    """Up to the skeletons, and the plan of the ensemble and of all folds; what follows is the same as below."""
    step = next(text for language, text in blocks if language == "bash")
    ensemble = "results/recordings/ensemble.json"
    assert ensemble in step
    run = bash(folder, step.replace(ensemble, "results/skeletons/recordings.h5"))
    assert run.returncode == 0, run.stderr[-3000:]
    study = folder / "results" / "study"
    with h5py.File(study / "results/skeletons/recordings.h5") as h5:
        assert h5.attrs["layout"] == "ntu25"
        assert h5["classes/id"].asstr()[:].tolist() == ["cross arms", "squat", "wave"]
        assert len(h5["names"]) == 18
    more = study / "more.yaml"
    more.write_text("benchmarks: {folded: {like: recordings, protocol: leave_one_subject_out}}\n")
    plan = f"snakemake --configfile config.yaml more.yaml -n --cores 2 {ensemble} results/folded/folds.json"
    said = bash(study, plan)
    assert said.returncode == 0, said.stderr[-3000:]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", said.stdout, re.M))
    del jobs["total"]
    # the protocol `given` and six folds, of two streams each
    assert jobs == {
        "ensemble": "1",
        "fold_ensemble": "6",
        "folds": "1",
        "score_stream": "14",
        "train_stream": "14",
    }


def test_skeletons_become_a_model_that_names_new_clips(folder, blocks):
    make, train, predict = [text for language, text in blocks if language == "bash"][1:4]
    assert bash(folder, make).stdout.splitlines()[:2] == ["name,label,subject,split", "wave-1,wave,1,train"]
    run = bash(folder, train)
    assert run.returncode == 0, run.stderr[-3000:]
    ensemble = json.loads((folder / "results/mine/ensemble.json").read_text())
    assert (ensemble["classes"], ensemble["clips"], ensemble["left_out"]) == (3, 6, [])
    assert {one["id"] for one in ensemble["per_class"]} == {"wave", "squat", "cross arms"}
    seen = bash(folder, predict)
    assert seen.returncode == 0, seen.stderr[-3000:]
    rows = list(csv.DictReader(io.StringIO(seen.stdout)))
    assert [row["name"] for row in rows] == ["unknown-23", "unknown-80", "unknown-96"]
    assert {row["class_id"] for row in rows} <= {"wave", "squat", "cross arms"}


def test_videos_become_skeletons(folder, blocks):
    """Up to the skeletons: what follows is the same as above."""
    make, train = [text for language, text in blocks if language == "bash"][4:6]
    assert bash(folder, make.replace("--videos", "--videos --subjects 1")).returncode == 0
    table = folder / "results/my-videos/clips.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:3]))
    run = bash(folder, train.replace("results/filmed/ensemble.json", "results/skeletons/filmed.h5"))
    assert run.returncode == 0, run.stderr[-3000:]
    with h5py.File(folder / "results/skeletons/filmed.h5") as h5:
        assert h5.attrs["layout"] == "coco17"
        assert h5["names"].asstr()[:].tolist() == ["squat-1", "wave-1"]
        joints = h5["joints"][:]
    # upright, a person some part of the picture high, from the nose downwards
    assert 0.2 < np.ptp(joints[:30, :, 1], axis=1).mean() < 1
    assert (joints[:30, [15, 16], 1].mean(0) < -0.2).all()


def test_nothing_is_left(folder, blocks):
    """Of the page's clips, configurations and results; runs after the others."""
    assert bash(folder, "rm -rf .snakemake").returncode == 0
    clean = [text for language, text in blocks if language == "bash"][-1]
    assert bash(folder, clean).returncode == 0
    results = folder / "results"
    left = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
    # Snakemake's records remain
    assert [path for path in left if path.parts[0] not in (RECORDS, MARKER)] == []
    assert {path.name for path in folder.iterdir()} == {*LINKED, "results"}
