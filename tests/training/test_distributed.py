"""Training in two processes; on the CPU, where they talk by Gloo."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from made_stores import make_stores, stream_settings

from mmcl import checkpoints
from mmcl.engine.launch import launch
from mmcl.errors import UserError
from mmcl.logs import job_log
from mmcl.models import build_backbone
from mmcl.settings.tables import BACKBONES
from mmcl.training import train

TWO = stream_settings(train__batch=6, train__evaluate_every=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def stores(folder):
    return make_stores(folder)


@pytest.fixture
def checks(monkeypatch, stores):
    """Run group_checks.py in two processes."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]))

    def run(output, **more):
        job = {"run": as_job(stores, output), "report": f"{output}.json", **more}
        launch("group_checks", job, 2)
        return json.loads(Path(job["report"]).read_text())

    return run


def as_job(stores, folder):
    """The arguments of one process, as values of JSON."""
    return {
        "skeletons": str(stores["skeletons"]),
        "inputs": {"picture": [str(stores["rgb"])], "answer": [str(stores["answers"])]},
        "output": str(folder / "model.pt"),
        "settings": TWO.dump(),
        "init": None,
        "threads": 1,
    }


def train_job(stores, folder, **more):
    job = as_job(stores, folder) | {"settings": TWO} | more
    train.train_stream(**job)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def state(folder):
    return checkpoints.read(folder / "model.pt")["state"]


def test_two_processes_train_one_model(checks, stores, folder):
    found = checks(folder / "straight")
    assert found["world"] == 2
    # the gradient of a step is that of one process over the same clips
    assert found["largest"] > 0.1
    # but for the order of additions, which ten blocks pass on; a share that is missing makes half of it
    assert found["apart"] < 1e-3 * found["largest"]
    # processes whose heads rest get the others' gradients, and nobody waits for ever
    assert found["resting"] == 0
    assert found["heads"] > 0
    # both hold the same network, running statistics included
    assert len(set(found["states"])) == 1
    rows = list(csv.DictReader((folder / "straight/history.csv").open()))
    assert [bool(row["test_top1"]) for row in rows] == [False, True, False, True]
    about = json.loads((folder / "straight/settings.json").read_text())
    assert about["processes"] == 2
    assert about["settings"] == TWO.dump()
    files = {path.name for path in (folder / "straight").iterdir()}
    assert files == {"model.pt", "best_on_test.pt", "settings.json", "history.csv"}

    # a run that one process ends in its third epoch goes on to the same bits
    with pytest.raises(UserError, match=r"^the second process failed$"):
        checks(folder / "stopped", fail_in=2)
    assert len(checkpoints.read(folder / "stopped/last.pt")["history"]) == 2
    with job_log(folder / "job.log"):
        train_job(stores, folder / "stopped", threads=2, gpus=2)
    log = (folder / "job.log").read_text()
    # one logs for all
    assert log.count("continuing after 2 of 4 epochs") == log.count("epoch 4: loss") == 1
    assert same(state(folder / "straight"), state(folder / "stopped"))
    assert same(*(checkpoints.read(folder / f / "best_on_test.pt")["state"] for f in ("straight", "stopped")))


def test_a_group_of_one_gives_the_model_of_a_plain_run(stores, folder, tmp_path, monkeypatch):
    train_job(stores, folder / "plain")
    (tmp_path / "job.json").write_text(json.dumps(as_job(stores, folder / "one")))
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(sys, "argv", ["train", str(tmp_path / "job.json")])
    train.main()
    assert same(state(folder / "plain"), state(folder / "one"))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_parameter_of_a_backbone_gets_a_gradient(backbone):
    """Else the other processes would wait for it."""
    graph = "hd21" if backbone == "hdgcn" else "natural"
    net = build_backbone(backbone, 3, "utd20", 1, graph, 3, 0.125)
    net(torch.randn(2, 3, 16, 20, 1)).sum().backward()
    assert [name for name, value in net.named_parameters() if value.grad is None] == []
    assert all(buffer.is_contiguous() for buffer in net.buffers())  # to be sent


def test_a_batch_in_two_parts_is_the_step_of_two_processes(stores, folder):
    """What recipe `reference` relies on: batch norms over half a batch each, gradients averaged."""
    off = {"enabled": False}
    common = {"train__batch": 6, "train__epochs": 2, "model__fam": off, "model__frm": off}
    runs = {
        "processes": ({}, 2),
        "parts": ({"train__accumulate": 2}, 1),
        "whole": ({}, 1),
    }
    found = {}
    for name, (more, gpus) in runs.items():
        settings = stream_settings(**common, **more)
        train_job(stores, folder / f"half-{name}", settings=settings, gpus=gpus, inputs={})
        found[name] = state(folder / f"half-{name}")
    weights = [key for key in found["whole"] if "running" not in key and "num_batches" not in key]

    def apart(name):
        return max(float((found[name][key] - found["processes"][key]).abs().max()) for key in weights)

    assert apart("parts") < 0.01 * apart("whole")
