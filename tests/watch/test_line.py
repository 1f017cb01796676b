import io
import logging
import os
from types import SimpleNamespace

import pytest

from mmcl.watch import line as module
from mmcl.watch.jobs import Jobs
from mmcl.watch.line import Line, show, text_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """The standard error as a terminal of 40 columns, on which no thread draws."""
    terminal = Terminal()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=terminal))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 10)))
    monkeypatch.setattr(Line, "_draw_on", lambda _: None)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    return terminal


@pytest.fixture
def logger(terminal) -> logging.Logger:
    logger = logging.Logger("snakemake")
    logger.addHandler(logging.StreamHandler(terminal))
    return logger


def started(jobs: Jobs, number: int, rule: str, **wildcards: str) -> None:
    fields = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": [], "local": True}
    jobs.handle(logging.makeLogRecord({"event": "job_info", **fields}))


def screen(text: str) -> list[str]:
    """What a terminal shows: a carriage return and ESC [K overwrite."""
    lines = [""]
    for part in text.replace("\r\x1b[K", "\0").replace("\n", "\n\1").split("\1"):
        shown = part.rstrip("\n").split("\0")[-1].rstrip("\r")
        lines[-1:] = [shown, ""]
    return [one for one in lines if one]


def test_the_line_says_what_runs():
    jobs = Jobs({"crop_people": 2, "train_stream": 1}, measured=["crop_people", "train_stream"])
    assert text_of(jobs) == "0 of 3 jobs"
    started(jobs, 1, "crop_people", shard="000-of-002")
    started(jobs, 2, "train_stream", member="ctrgcn-natural-joint")
    assert (
        text_of(jobs) == "0 of 3 jobs, 2 running: crop_people 000-of-002; train_stream ctrgcn-natural-joint"
    )
    jobs.running[2].local = False
    assert text_of(jobs) == "0 of 3 jobs, 1 queued, 1 running: crop_people 000-of-002"


def test_messages_appear_above_the_line(terminal, logger):
    jobs = Jobs({"crop_people": 12})
    shown = show(jobs, logger)
    assert isinstance(shown, Line)
    started(jobs, 1, "crop_people", shard="000-of-002")
    shown.draw()
    assert screen(terminal.getvalue()) == ["0 of 12 jobs, 1 min left, 1 running: c…"]
    logger.info("a message")
    shown.draw()
    assert screen(terminal.getvalue()) == ["a message", "0 of 12 jobs, 1 min left, 1 running: c…"]
    shown.close()
    assert screen(terminal.getvalue()) == ["a message"]
    logger.info("the end")
    assert screen(terminal.getvalue()) == ["a message", "the end"]
    shown.draw()
    assert screen(terminal.getvalue()) == ["a message", "the end"]


def test_what_the_line_says_is_not_said_again(terminal, logger):
    shown = show(Jobs({}), logger)
    progress = {"event": "progress", "done": 1, "total": 2}
    logger.info("1 of 2 steps done", extra=progress)
    logger.info("Select jobs to execute...")
    logger.info("Error", extra={"event": "job_error"})
    assert terminal.getvalue() == "Error\n"
    shown.close()
    logger.info("1 of 2 steps done", extra=progress)
    assert terminal.getvalue() == "Error\n1 of 2 steps done\n"


def test_a_run_in_the_background_leaves_the_line_to_the_shell(terminal, logger, monkeypatch):
    shown = show(Jobs({"a": 1}), logger)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    shown.draw()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    shown.draw()
    assert screen(terminal.getvalue()) == ["0 of 1 jobs, 5 s left"]
    shown.close()


@pytest.mark.parametrize("quiet", ["progress", "all"])
def test_no_line_where_it_is_not_wanted(terminal, logger, quiet):
    assert show(Jobs({}), logger, {quiet}) is None


def test_no_line_without_a_terminal(terminal, logger, monkeypatch):
    monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    assert show(Jobs({}), logger) is None


def test_no_line_on_a_terminal_that_cannot_erase(terminal, logger, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert show(Jobs({}), logger) is None


def test_no_line_where_another_handler_writes(terminal):
    logger = logging.Logger("snakemake")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    assert show(Jobs({}), logger) is None
