"""Helper processes of a job that is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

POOL = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from mmcl.helpers import end_with_parent

def work(number):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=end_with_parent) as pool:
        list(pool.map(work, range(2)))
"""

LOADER = """
import os, sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from mmcl.helpers import end_with_parent

class Slow:
    def __len__(self): return 2
    def __getitem__(self, row):
        Path(sys.argv[1], str(os.getpid())).touch()
        time.sleep(60)

list(DataLoader(Slow(), num_workers=2, worker_init_fn=end_with_parent))
"""

ANOTHER_SYSTEM = "import sys; sys.platform = 'darwin'"


@pytest.mark.parametrize(
    "code", [POOL, LOADER, ANOTHER_SYSTEM + POOL], ids=["pool", "loader", "another system"]
)
def test_helpers_end_with_a_job_that_is_killed(tmp_path, code):
    (tmp_path / "job.py").write_text(code)
    (tmp_path / "pids").mkdir()
    job = subprocess.Popen([sys.executable, tmp_path / "job.py", tmp_path / "pids"])
    pids: list[int] = []
    try:
        _wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2, 60)
        pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
        job.send_signal(signal.SIGKILL)
        job.wait()
        _wait_until(lambda: not any(map(_runs, pids)), 20)
    finally:
        job.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _wait_until(is_so, seconds):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie, which the system's first process may not have collected."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
