"""How processes start and end together."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from mmcl.engine import launch as module
from mmcl.engine.launch import launch
from mmcl.errors import UserError
from mmcl.logs import job_log

HERE = Path(__file__).parent


@pytest.fixture
def order(tmp_path, monkeypatch):
    """Start two processes of started.py with an order; afterwards none may be left."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    yield lambda what: launch("started", {"order": what, "folder": str(tmp_path)}, 2)
    pids = [int(path.read_text()) for path in tmp_path.glob("pid-*")]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_they_log_where_this_process_logs(order, tmp_path, capfd):
    with job_log(tmp_path / "job.log"):
        order("work")
    assert capfd.readouterr().out.count(str(tmp_path / "job.log")) == 2


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("kill", UserError, r"process 1 of 2 was killed \(SIGKILL\)"),
        ("leave", UserError, "process 1 of 2 ended with status 3"),
        ("complain", UserError, "^1 complains"),
        ("break", RuntimeError, "a training process failed:\n[01] complains"),
    ],
)
def test_one_that_fails_ends_all(order, what, error, message):
    begin = time.monotonic()
    with pytest.raises(error, match=message):
        order(what)
    assert time.monotonic() - begin < 30


def test_ctrl_c_ends_all(order, tmp_path):
    # a shell starts background jobs with SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while len(list(tmp_path.glob("pid-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            order("wait")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_ends_with_its_starter_and_leaves_no_folder(tmp_path):
    folder = tmp_path / "mmcl-1"
    folder.mkdir()
    for name in ("job.json", "failed-1.json"):
        (folder / name).write_text("{}")
    code = "from mmcl.engine.launch import joined\nwith joined(): import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, env=os.environ | {"MMCL_STARTER": str(folder)}
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.stdin.close()  # as the system does when the starter is killed
    assert process.wait(60) == 1
    assert not folder.exists()


def test_too_few_gpus_are_an_error(monkeypatch):
    monkeypatch.setattr(module, "pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"gpus: 2 wanted, this job sees 1; lower the benchmark's `gpus`"):
        launch("started", {}, 2)
