import io
import logging
import sys

import pytest

from mmcl import progress as module
from mmcl.progress import Progress, duration, progress, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_job(caplog):
    """As in a command: only a job logs what is below INFO."""
    caplog.set_level(logging.WARNING, "mmcl")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def lines_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "mmcl.progress"]


def test_a_log_gets_a_line_each_tenth_and_each_minute(caplog, clock):
    caplog.set_level(logging.DEBUG, "mmcl")
    step = Progress("crops 000-of-002", 200, "clips")
    for _ in range(40):
        clock[0] += 0.1
        step.advance()
    assert lines_of(caplog) == []  # 20 % in four seconds
    clock[0] += 2
    step.advance(5)
    assert lines_of(caplog) == ["crops 000-of-002: 45 of 200 clips, 22 %, 21 s left"]
    clock[0] += 59
    step.advance()
    clock[0] += 1
    step.advance()
    assert lines_of(caplog)[1:] == ["crops 000-of-002: 47 of 200 clips, 24 %, 4 min left"]


def test_training_counts_epochs_and_the_time_left_is_of_this_run(caplog, clock):
    caplog.set_level(logging.DEBUG, "mmcl")
    step = Progress("joint", 100, "batches", done=50, lap=10)
    clock[0] = 60
    step.advance(15)
    assert lines_of(caplog) == ["joint: epoch 7 of 10, 65 %, 2 min left"]


def test_what_another_process_shows_is_not_logged(caplog, clock):
    caplog.set_level(logging.DEBUG, "mmcl")
    step = Progress("joint", 10, "batches", shown=False)
    clock[0] = 100
    step.advance()
    assert lines_of(caplog) == []


def test_a_terminal_shows_a_bar_that_is_removed(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "DELAY", 0)
    assert list(tracked([1, 2, 3], "audit", "clips")) == [1, 2, 3]
    said = terminal.getvalue()
    assert "audit   0 %|" in said
    assert "0 of 3 clips, ? left" in said
    assert said.endswith("\r")
    assert "\n" not in said


def test_a_bar_without_a_known_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "DELAY", 0)
    with progress("file", None, "B", done=2_000_000) as step:
        step.advance(1_000_000)
    assert "file: 2.00MB" in terminal.getvalue()


def test_nothing_is_shown_without_a_terminal(capsys):
    assert list(tracked(iter("ab"), "audit", "clips", 2)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h 0 min"),
        (5000, "1 h 23 min"),
        (97200, "1 d 3 h"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
