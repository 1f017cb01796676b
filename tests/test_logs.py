import errno
import io
import logging
import sys
import warnings

import pytest

from mmcl.errors import Damaged, UserError
from mmcl.logs import job_log


@pytest.fixture(autouse=True)
def restored():
    """Leave pytest's own logging as it was."""
    root, own = logging.getLogger(), logging.getLogger("mmcl")
    handlers, level, own_level = root.handlers[:], root.level, own.level
    yield
    own.setLevel(own_level)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_users_mistake_is_a_message_without_a_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped, job_log(tmp_path / "deep" / "job.log"):
        raise UserError("config: no such thing")
    assert stopped.value.code == 1
    text = (tmp_path / "deep" / "job.log").read_text()
    assert "config: no such thing" in text
    assert "Traceback" not in text
    assert "config: no such thing" in capsys.readouterr().err


def test_any_other_error_is_logged_with_its_traceback(tmp_path):
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
        raise KeyError("unforeseen")
    text = (tmp_path / "job.log").read_text()
    assert "Traceback" in text
    assert "unforeseen" in text


def test_names_that_are_no_utf8_are_escaped(tmp_path):
    with job_log(tmp_path / "job.log"):
        logging.getLogger("mmcl").info("clip \udcff of ümläut")
    assert "clip \\udcff of ümläut" in (tmp_path / "job.log").read_text(encoding="utf-8")


def test_epochs_go_to_the_file_alone(tmp_path, capsys):
    with job_log(tmp_path / "job.log"):
        logging.getLogger("mmcl.training").debug("epoch 1")
        logging.getLogger("mmcl.training").info("begin")
        logging.getLogger("other").debug("noise")
        warnings.warn("careful", stacklevel=1)
    text, terminal = (tmp_path / "job.log").read_text(), capsys.readouterr().err
    assert "epoch 1" in text
    assert "epoch 1" not in terminal
    assert "begin" in terminal
    assert "noise" not in text
    assert "careful" in text


def test_a_terminals_line_is_free_for_each_message(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for kind, begin in (("xterm", "\r\x1b[K2"), ("dumb", "2")):
        monkeypatch.setenv("TERM", kind)
        terminal.truncate(terminal.seek(0))
        with job_log(tmp_path / "job.log"):
            logging.getLogger("mmcl").info("a message")
        assert terminal.getvalue().startswith(begin)
        assert "\x1b" not in (tmp_path / "job.log").read_text()


def test_a_damaged_file_is_renamed_for_the_next_run(tmp_path):
    path = tmp_path / "s.h5"
    for content in (b"older", b"bad"):
        path.write_bytes(content)
        with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
            raise Damaged(f"{path}: damaged", path)
        assert not path.exists()
        assert (tmp_path / "s.h5.damaged").read_bytes() == content
    text = (tmp_path / "job.log").read_text()
    assert f"{path}: damaged; renamed to s.h5.damaged: run the same command again to make it anew" in text
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):  # another job has renamed it
        raise Damaged(f"{path}: damaged", path)
    assert "Traceback" not in (tmp_path / "job.log").read_text()


def test_a_full_disk_is_a_message(tmp_path, capfd):
    with pytest.raises(SystemExit), job_log("/dev/full"):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    text = capfd.readouterr().err
    assert "/tmp/x: disk full; free space and run again" in text
    assert "Traceback" not in text
    assert "Logging error" not in text
