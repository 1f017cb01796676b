"""The jobs of a running workflow, as Snakemake logs them.

The events and their fields are those of its interface for logger plugins. A handler of the standard library gets them,
too, without a plug-in that must be installed and named in every profile.
"""

import logging
import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmcl import paths
from mmcl.job_times import seconds_of
from mmcl.progress import log as progress_log

SHORT = 5.0
"""Seconds expected of a job whose rule does not measure its time: such rules are short."""
STOPPING = "Terminating processes on user request"
"""How Snakemake's message begins when it is interrupted; the jobs that it ends are then reported as failed."""
SKEW = 30.0
"""Seconds by which the clock of a file server may be behind."""
TAIL = 8192
"""Bytes of a log that are looked at."""
NOT_NAMED = ("settings", "protocol", "question", "vlm", "cnn")
"""Wildcards that say little of a job."""


@dataclass
class Job:
    """A job that has begun, or was submitted to a cluster."""

    rule: str
    words: str
    logs: list[str]
    local: bool
    began: float = field(default_factory=lambda: time.time())
    _read: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether it runs: on a cluster, whether its log was begun."""
        return self.local or any(self._is_own(_changed(log)) for log in self.logs)

    def _is_own(self, changed: float) -> bool:
        """Whether a log of this time is not an earlier attempt's; clocks of a cluster differ."""
        return changed >= self.began - (1 if self.local else SKEW)

    def progress(self) -> str:
        """What it last logged of its progress, such as `epoch 3 of 10, 25 %, 4 min left`; "" if nothing."""
        for log in self.logs:
            changed = _changed(log)
            if not self._is_own(changed):
                continue
            if self._read.get(log, (0.0, ""))[0] != changed:
                self._read[log] = changed, _last_progress(log)
            if text := self._read[log][1]:
                return text
        return ""


class Failed(NamedTuple):
    """A job that failed."""

    rule: str
    logs: list[str]
    output: list[str]


class Left(NamedTuple):
    """Seconds that a run still takes; `whole` where that is known of all its jobs."""

    seconds: float
    whole: bool


class Jobs(logging.Handler):
    """Counts the jobs of a run by the events that Snakemake logs.

    Args:
        planned: rule → jobs that are to run.
        measured: rules that keep the time of their jobs, see `paths.times_of`.
    """

    def __init__(self, planned: Mapping[str, int], measured: Collection[str] = ()):
        super().__init__()
        self._state = threading.Lock()
        self.waiting = Counter(planned)
        self.total = sum(planned.values())
        self.measured = frozenset(measured)
        self.done = 0
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Failed] = {}
        self.stopped = False
        self.begun_at = time.time()
        self._seen: set[int] = set()
        self._spent: defaultdict[str, list[float]] = defaultdict(list)
        self._earlier: dict[str, float | None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`; what another version of Snakemake logs otherwise is left alone."""
        try:
            with self._state:
                self._note(str(getattr(record, "event", "")), record)
        except (AttributeError, LookupError, TypeError, ValueError):
            pass

    def _note(self, event: str, record: Any) -> None:
        if event == "job_info":
            job = Job(
                record.rule_name,
                _words(record.rule_name, record.wildcards),
                list(record.log),
                bool(record.local),
            )
            self.running[record.jobid] = job
            if record.jobid not in self._seen:
                self._seen.add(record.jobid)
                self.waiting[job.rule] -= 1
        elif event == "job_finished":
            self.failed.pop(record.job_id, None)
            if job_done := self.running.pop(record.job_id, None):
                self._spent[job_done.rule].append(time.time() - job_done.began)
        elif event == "job_error":
            self.running.pop(record.jobid, None)
            if not self.stopped:  # else the user ended it
                self.failed[record.jobid] = Failed(record.rule_name, list(record.log), list(record.output))
        elif str(record.msg).startswith(STOPPING):
            self.stopped = True
        elif event == "progress":
            self.done, self.total = int(record.done), int(record.total)

    def current(self) -> list[Job]:
        """The jobs that have begun, the first one first."""
        with self._state:
            return sorted(self.running.values(), key=lambda job: job.began)

    def left(self, shares: Mapping[int, float]) -> Left | None:
        """The time that the run still takes, from what jobs of the same rules took in this run, else in earlier ones.

        Args:
            shares: `id` of a running job → which part of it is done, as far as that is known.

        Returns:
            None where too little is known.
        """
        with self._state:
            waiting, running = +self.waiting, list(self.running.values())
        now = time.time()
        work, longest, unknown = 0.0, 0.0, 0
        for rule, count in waiting.items():
            seconds = self._expected(rule)
            unknown += count if seconds is None else 0
            work += count * (seconds or 0.0)
        for job in running:
            spent, share = now - job.began, shares.get(id(job), 0.0)
            seconds = self._expected(job.rule)
            if share >= 0.05:
                rest = spent * (1 - share) / share
            elif seconds is not None:
                rest = max(seconds - spent, 0.0)
            else:
                unknown, rest = unknown + 1, 0.0
            work, longest = work + rest, max(longest, rest)
        if unknown > (sum(waiting.values()) + len(running)) / 2:
            return None
        busy = sum(map(sum, self._spent.values())) + sum(now - job.began for job in running)
        at_once = max(1.0, busy / max(now - self.begun_at, 1e-3))
        return Left(max(work / at_once, longest), not unknown)

    def _expected(self, rule: str) -> float | None:
        if spent := self._spent.get(rule):
            return sum(spent) / len(spent)
        if rule not in self._earlier:
            earlier = list(_seconds(Path(paths.times_of(rule)).rglob("*.tsv")))
            self._earlier[rule] = sum(earlier) / len(earlier) if earlier else None
        known = self._earlier[rule]
        return SHORT if known is None and rule not in self.measured else known


def _words(rule: str, wildcards: Mapping[str, str]) -> str:
    """A job in a few words: `train_stream ctrgcn-natural-joint seed-1`."""
    left_out = {*NOT_NAMED, *(("dataset",) if "member" in wildcards else ())}
    return " ".join([rule, *(str(value) for key, value in wildcards.items() if key not in left_out)])


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return -1.0


def _last_progress(path: str) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    mark = f" {progress_log.name}: "
    return next((line.split(mark, 1)[1].rpartition(": ")[2] for line in reversed(lines) if mark in line), "")


def share_of(progress: str) -> float:
    """The part that is done by the words of a progress; 0 where they do not say."""
    found = re.search(r"(\d+) %", progress)
    return int(found[1]) / 100 if found else 0.0


def _seconds(files: Iterable[Path]) -> Iterator[float]:
    """The first column of Snakemake's benchmark files."""
    for path in files:
        try:
            yield seconds_of(path)
        except (OSError, LookupError, ValueError):
            continue
