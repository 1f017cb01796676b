"""Pre-training in two processes; on the CPU, where they communicate by Gloo."""

import os
from pathlib import Path

import group_steps
import torch

from mmcl import checkpoints
from mmcl.engine.launch import launch
from mmcl.engine.processes import Processes


def test_two_processes_train_what_one_does(tmp_path, monkeypatch):
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]))
    report = tmp_path / "report.pt"
    launch("group_steps", {"report": str(report)}, 2)
    found = checkpoints.read(report)
    assert found["same_memory"]
    expected = group_steps.train(Processes(device=torch.device("cpu")))
    torch.testing.assert_close(found["state"], expected, rtol=1e-6, atol=1e-8)
    # the clips of all steps are remembered, more than there is room for
    written = 2 * group_steps.STEPS * group_steps.CLIPS
    assert expected["pretrainer.memory.pointer"].tolist() == [written - group_steps.MEMORY]
    begun = (
        group_steps.pretrainer(group_steps.MANDATORY, memory=20, keys_start_apart=True).double().state_dict()
    )
    moved = [n for n in begun if not torch.equal(begun[n], expected[f"pretrainer.{n}"])]
    assert any(n.startswith("queries") for n in moved)
    assert any(n.startswith("keys.joint_motion") for n in moved)
