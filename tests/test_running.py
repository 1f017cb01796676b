import subprocess
import sys

import pytest

from mmcl import running
from mmcl.errors import UserError

OTHER = """
import sys
from pathlib import Path
from mmcl.running import hold
hold(sys.argv[2:], Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds two outputs."""
    command = [sys.executable, "-c", OTHER, str(tmp_path), "results/a/model.pt", "results/b/model.pt"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_an_output_belongs_to_the_run_that_makes_it_until_the_run_ends(other, tmp_path):
    with pytest.raises(UserError, match=r"results/b/model.pt: another run of the workflow in this folder"):
        running.hold(["results/c/model.pt", "results/b/model.pt"], tmp_path)
    running.hold(["results/c/model.pt"], tmp_path)
    running.hold(["results/b/model.pt"], tmp_path / "elsewhere")
    other.kill()
    other.wait()
    running.hold(["results/a/model.pt", "results/b/model.pt"], tmp_path)


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(running.fcntl, "lockf", refuse)
    running.hold(["results/a/model.pt"], tmp_path)
    assert "runs at the same time are not noticed" in caplog.text
