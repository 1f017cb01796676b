"""One line on the terminal for all jobs of a running workflow, below what Snakemake and the jobs write."""

import atexit
import logging
import os
import sys
import threading
from collections.abc import Collection
from typing import Any

from mmcl.logs import ERASE
from mmcl.progress import duration
from mmcl.watch.jobs import Jobs, share_of

EVERY = 1.0
"""Seconds between two looks at the jobs."""
NAMED = 4
"""Running jobs that are named, as far as there is space."""


def text_of(jobs: Jobs) -> str:
    """Such as `12 of 51 jobs, 4 min left, 2 running: train_stream ctrgcn-natural-joint seed-1 epoch 3 of 10, 25 %`."""
    current = jobs.current()
    running = [job for job in current if job.runs]
    said = {id(job): job.progress() for job in running}
    parts = [f"{jobs.done} of {jobs.total} jobs"]
    if jobs.failed:
        parts.append(f"{len(jobs.failed)} failed")
    if left := jobs.left({key: share_of(text) for key, text in said.items()}):
        parts.append(f"{'' if left.whole else 'more than '}{duration(left.seconds)} left")
    if queued := len(current) - len(running):
        parts.append(f"{queued} queued")
    if running:
        parts.append(f"{len(running)} running")
    named = "; ".join(f"{job.words} {said[id(job)]}".strip() for job in running[:NAMED])
    return ", ".join(parts) + (f": {named}" if named else "")


REPLACED = ("progress", "job_finished", "job_started")
SELECTING = "Select jobs to execute..."


def _is_replaced(record: logging.LogRecord) -> bool:
    """Whether the line says what a message of Snakemake's does."""
    return str(getattr(record, "event", "")) in REPLACED or record.msg == SELECTING


class Line:
    """The line, drawn every second in a thread until it is closed.

    Args:
        jobs: of the run.
        handler: that writes Snakemake's messages to the terminal; what it writes appears above the line.
    """

    def __init__(self, jobs: Jobs, handler: "logging.StreamHandler[Any]"):
        self.jobs, self.handler, self.stream = jobs, handler, handler.stream
        self.drawn = False
        self._end = threading.Event()
        self._filter = lambda record: not _is_replaced(record)
        handler.addFilter(self._filter)
        handler.setStream(_Above(self))
        self._thread = threading.Thread(target=self._draw_on, name="workflow line", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _draw_on(self) -> None:
        try:
            self.draw()
            while not self._end.wait(EVERY):
                self.draw()
        except (OSError, ValueError):  # the terminal is gone
            return

    def draw(self) -> None:
        """Draw it anew, cut to the terminal's width. The cursor stays at its beginning, where the next message goes."""
        if not _in_foreground(self.stream.fileno()):
            return
        text = text_of(self.jobs)
        width = os.get_terminal_size(self.stream.fileno()).columns or 80
        text = text if len(text) < width else text[: max(0, width - 2)] + "…"
        self.handler.acquire()  # no message is being written
        try:
            if not self._end.is_set():
                self.stream.write(f"{ERASE}{text}\r")
                self.stream.flush()
                self.drawn = True
        finally:
            self.handler.release()

    def erase(self) -> None:
        """Make its place free for a message."""
        if self.drawn:
            self.stream.write(ERASE)
            self.drawn = False

    def close(self) -> None:
        """Remove it."""
        if self._end.is_set():
            return
        self._end.set()
        try:
            self.handler.removeFilter(self._filter)
            self.handler.setStream(self.stream)
            self.erase()
            self.stream.flush()
        except (OSError, ValueError):
            pass
        atexit.unregister(self.close)


def _in_foreground(terminal: int) -> bool:
    """Whether the terminal's line is this process's: in the background it is the shell's."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not the terminal of this session
        return True


class _Above:
    """A terminal on which everything is written above the line."""

    def __init__(self, line: Line):
        self._line = line

    def write(self, text: str) -> int:
        self._line.erase()
        return int(self._line.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line.stream, name)


def show(jobs: Jobs, logger: logging.Logger, quiet: Collection[str] = ()) -> Line | None:
    """Show the line of a run where there is a terminal for it.

    Args:
        jobs: of the run.
        logger: Snakemake's.
        quiet: what Snakemake was told to be quiet about, `progress`, `rules`, `all`, ….

    Returns:
        None where the standard error is no terminal, or another program's handler writes to it.
    """
    if {"progress", "all"} & set(quiet) or os.environ.get("TERM", "dumb") == "dumb":
        return None
    for handler in logger.handlers:
        if (
            isinstance(handler, logging.StreamHandler)
            and handler.stream is sys.stderr
            and sys.stderr.isatty()
        ):
            return Line(jobs, handler)
    return None
