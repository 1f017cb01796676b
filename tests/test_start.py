import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmcl.errors import UserError
from mmcl.start import check_no_result, check_project, quoted_python


def test_python_is_one_word_of_a_shell(tmp_path, monkeypatch):
    assert quoted_python() == sys.executable
    python = tmp_path / "my pro;ject's $HOME ü" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    assert shlex.split(f"{quoted_python()} script.py") == [str(python), "script.py"]
    monkeypatch.setattr(sys, "executable", quoted_python())
    assert quoted_python() == sys.executable  # read again in one process


@pytest.mark.parametrize("name", ["{x}", "a{", "line\nend"])
def test_a_project_whose_path_is_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(
        UserError, match="in its path, which Snakemake takes for part of a pattern; move the project"
    ):
        check_project(tmp_path / name)
    check_project(tmp_path / "my ümläut $HOME's")


def mmcl(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """A command under a locale."""
    return subprocess.run(
        [sys.executable, "-m", "mmcl", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_names_that_python_cannot_take_are_told_at_the_start():
    done = mmcl("inspect", "ümläut.h5", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 2
    assert "takes names of files as ascii" in done.stderr
    assert "set PYTHONUTF8=1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_umlauts_is_shown_escapes(tmp_path):
    done = mmcl("inspect", str(tmp_path / "ümläut.h5"), PYTHONIOENCODING="ascii")
    assert "Traceback" not in done.stderr
    assert "no such store" in done.stderr


def test_a_target_that_configfile_took_is_named():
    check_no_result(Path("mine.yaml"))
    with pytest.raises(UserError, match=r"^results/b/ensemble\.json: is a result, .* behind `--`$"):
        check_no_result(Path("results/b/ensemble.json"))
