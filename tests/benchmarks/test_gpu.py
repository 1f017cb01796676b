"""Every row of the GPU benchmark at a size that a CPU does in a moment, and what keeps one from ending the others."""

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gpu
import pytest
from gpu_rows import ROWS, Row, isolated
from gpu_rows.measurement import Absent, Measurement

SCRIPT = Path(gpu.__file__)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "ctrgcn-fp32"])  # tf32 is that on a CPU
def test_row(name):
    measurement = Measurement(None, tiny=True, until=time.monotonic() + 60)
    measurement.profile = lambda *_, **__: None  # takes longer than the row
    isolated.guarded(ROWS[name], measurement)
    found = measurement.found
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert "failed" not in found
    assert found["done"]
    assert found["reference"] > 0
    assert found["ours"] > 0
    if "difference" in found:
        assert found["difference"] < max(0.05, 3 * found["difference_of_plain"])


def test_command(tmp_path):
    command = [sys.executable, SCRIPT, "--tiny", "--only", "order", "--only", "stgcn16", "--out", tmp_path]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, cwd="/"
    ).stdout
    assert "written:" in printed
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert list(content["rows"]) == ["order", "stgcn16"]
    assert content["rows"]["stgcn16"]["goal"] == 3
    table = (tmp_path / "gpu.md").read_text()
    assert "Kernels of stgcn16, the row farthest from its goal" in table
    assert "aten::" in table
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("gpu-order.log", "gpu-stgcn16.log", "gpu.json", "gpu.md"),
    ]


def test_nothing_is_measured_without_a_gpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("os.environ", os.environ.copy())
    assert gpu.main(["--out", str(tmp_path / "out")]) == 0
    assert "no NVIDIA GPU here, nothing measured" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("work", "limit", "why"),
    [
        (functools.partial(os.write, 1, b"fine"), 30, ""),
        (functools.partial(time.sleep, 60), 0.5, "ran past its limit of 0 s"),
        (os.abort, 30, "its process was ended by SIGABRT"),
        (functools.partial(sys.exit, 3), 30, "its process ended with status 3"),
    ],
)
def test_a_process_of_its_own(work, limit, why, tmp_path):
    assert isolated.isolated(work, limit, tmp_path / "log") == why
    if not why:
        assert (tmp_path / "log").read_text() == "fine"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (Absent("cv2 is not installed"), {"skipped": "cv2 is not installed"}),
        (RuntimeError("no\n  memory"), {"failed": "RuntimeError: no memory"}),
    ],
)
def test_a_row_that_raises(error, found, tmp_path, monkeypatch):
    def row(measurement):
        measurement.report(reference=2.0)
        raise error

    monkeypatch.setattr("gpu_rows.small.order", row)
    file = tmp_path / "found.json"
    isolated.guarded(Row("small:order", "", None, 1, {}), Measurement(file, True, time.monotonic() + 1))
    assert json.loads(file.read_text()) == {"reference": 2.0, "notes": [], **found}


def test_the_slowest_is_farthest_from_its_goal():
    rows = {
        "a": {"goal": 5, "ratio": 4, "profile": ""},
        "b": {"goal": 2, "ratio": 1.5, "profile": ""},
        "c": {"goal": None, "ratio": 0.1, "profile": ""},
        "d": {"goal": 3, "failed": "why"},
    }
    assert gpu._slowest(rows) == "b"
