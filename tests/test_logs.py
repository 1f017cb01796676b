import logging
import warnings

import pytest

from mmcl.errors import UserError
from mmcl.logs import job_log


@pytest.fixture(autouse=True)
def restored():
    """Leave pytest's own logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
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
