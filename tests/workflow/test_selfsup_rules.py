"""Rules of pre-training and distillation, from a skeleton store on."""

import json

import pytest
import torch
from conftest import Allowed

from mmcl.selfsup.files import load_encoders

STUDENT = "results/made/ikem/student/seed-3/model.pt"
CONFIG = {
    "instruction": "whether the people are holding objects?",
    "datasets": {"made": {"reader": "utd_mhad", "threads": 1}},
    "benchmarks": {
        "made": {
            "dataset": "made",
            "protocol": "odd_subjects",
            "threads": 1,
            "selfsup": {
                "encoder": {"width": 0.25},
                "modalities": ["joint", "bone"],
                "window": 8,
                "epochs": 2,
                "exchange_after": 1,
                "batch": 8,
                "memory": 8,
                "dim": 4,
                "student": {"epochs": 1, "batch": 8, "modalities": ["bone"]},
            },
        }
    },
}


@pytest.fixture
def run(tmp_path):
    return Allowed(tmp_path, CONFIG, ["pretrain_streams", "distil_student"])


def test_students_are_made_of_skeletons_alone(run):
    run(STUDENT)
    folder = (run.folder / STUDENT).parent
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "model.pt", "settings.json"]
    assert json.loads((folder / "settings.json").read_text())["settings"]["seed"] == 3
    assert load_encoders(folder / "model.pt").inputs == {"bone": ("bone",)}
    state = torch.load(folder.parent.parent / "pretrain/seed-3/model.pt", weights_only=True)["state"]
    assert {name.partition(".")[0] for name in state} == {"joint", "bone"}
    for rule, what in (("pretrain_streams", "pretrain"), ("distil_student", "student")):
        assert (
            "16 training clips"
            in (run.folder / f"results/logs/{rule}/made/ikem/{what}/seed-3.log").read_text()
        )
        assert (run.folder / f"results/times/{rule}/made/ikem/{what}/seed-3.tsv").exists()

    run.edit("modalities:\n        - bone\n", "modalities:\n        - joint\n")
    assert run.jobs(STUDENT) == {"distil_student": 1}
