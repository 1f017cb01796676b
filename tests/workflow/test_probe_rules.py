"""Rules of probes, and streams that start from encoders or learn from an ensemble, from a skeleton store on."""

import json

import pytest
from conftest import Allowed

from mmcl import checkpoints

RESULT = "results/made/ikem/result.json"
RULES = ["pretrain_streams", "probe_stream", "ikem_result", "train_stream", "score_stream", "ensemble"]
CONFIG = {
    "instruction": "whether the people are holding objects?",
    "datasets": {"made": {"reader": "utd_mhad", "threads": 1}},
    "benchmarks": {
        "made": {
            "dataset": "made",
            "protocol": "odd_subjects",
            "threads": 1,
            "seeds": [3],
            "selfsup": {
                "encoder": {"width": 0.25},
                "modalities": ["joint"],
                "window": 8,
                "epochs": 1,
                "exchange_after": None,
                "batch": 8,
                "memory": 8,
                "dim": 4,
                "student": {"batch": 8},
                "probe": {"of": ["pretrain"], "epochs": 5},
            },
        },
        "tuned": {
            "like": "made",
            "model": {
                "backbone": "stgcn16",
                "width": 0.25,
                "fam": {"enabled": False},
                "frm": {"enabled": False},
            },
            "train": {"epochs": 1, "batch": 8, "window": 8, "labels": 0.5, "init": {"from": "made"}},
            "ensemble": {"members": [{"stream": "joint"}], "weights": "equal"},
        },
        "taught": {"like": "tuned", "train": {"init": None, "distil": {"from": "tuned"}}},
    },
}


@pytest.fixture
def run(tmp_path):
    return Allowed(tmp_path, CONFIG, RULES)


def test_encoders_are_probed_and_tuned(run):
    tuned = f"{run.trained('tuned', 'stgcn16-natural-joint', seed=3)}/model.pt"
    run(RESULT, tuned, "--config", "tensorboard=true")
    for folder in (run.folder / tuned).parent, run.folder / "results/made/ikem/pretrain/seed-3":
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    found = json.loads((run.folder / RESULT).read_text())
    metrics = json.loads((run.folder / "results/made/ikem/probe/pretrain/seed-3/metrics.json").read_text())
    assert found["probes"]["pretrain"]["encoders"]["joint"]["top1"] == {
        "mean": metrics["encoders"]["joint"]["top1"],
        "sd": None,
        "seeds": [metrics["encoders"]["joint"]["top1"]],
    }
    about = json.loads((run.folder / tuned).with_name("settings.json").read_text())
    assert about["clips"] == 8
    assert about["settings"]["train"]["init"]["from"] == "made"
    assert checkpoints.read(run.folder / tuned)["settings"]["seed"] == 3

    assert run.jobs(RESULT, tuned) == {}
    # a student waits for the whole ensemble
    assert run.jobs("results/taught/ensemble.json") == {"train_stream": 1, "score_stream": 2, "ensemble": 2}
    run.edit("memory: 8", "memory: 9")
    assert run.jobs(RESULT, tuned) == {
        "pretrain_streams": 1,
        "probe_stream": 1,
        "ikem_result": 1,
        "train_stream": 1,
    }
