"""What a run shows on a terminal."""

import os
import pty
import subprocess

from workflow.conftest import fresh

from mmcl import paths
from mmcl.naming import slug

QUESTION = paths.at(paths.QUESTION, question=slug("whether the people are holding objects?"))
ERASE = "\r\x1b[K"


def on_terminal(run, *arguments: str) -> str:
    """Run it with a terminal as its standard error; what was written there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        run.command(*arguments), cwd=run.folder, stderr=theirs, stdout=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0, written.decode()
    return written.decode()


def test_a_line_counts_the_jobs_and_is_gone_at_the_end(tmp_path):
    run = fresh(tmp_path / "run")
    said = on_terminal(run, "--quiet", "rules", "--", QUESTION)
    assert f"{ERASE}0 of 1 jobs, 5 s left\r" in said
    assert "steps (" not in said
    # where the next message takes its place, it is erased
    assert f"{ERASE}" in said[said.rindex("jobs, ") :]
    assert said.count(" jobs finished in ") == 1
    assert "of 1 jobs" not in said[said.index(" jobs finished in ") :]


def test_a_quiet_run_has_none(tmp_path):
    run = fresh(tmp_path / "run")
    assert ERASE not in on_terminal(run, "--quiet", "--", QUESTION)
