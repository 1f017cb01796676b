"""How far a step is, and how long it still takes: a bar on a terminal, a line now and then in a job's log.

A job of the workflow shows no bar, as several run at once: the workflow's own line (`mmcl.watch`) reads the
lines in the jobs' logs. Where there is neither a terminal nor a log, nothing is shown.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

DELAY = 1.0
"""Seconds that a step may take without a bar."""
SELDOM, OFTEN, SHARE = 60.0, 5.0, 0.1
"""Seconds and a part: a log gets a line after SELDOM, or after OFTEN if another SHARE of the step was done."""
BAR = "{desc} {percentage:3.0f} %|{bar}| {n_fmt} of {total_fmt} {unit}, {remaining} left{postfix}"


class Progress:
    """How much of a step is done.

    Args:
        label: what is done.
        total: units of the step; None where that is not known.
        unit: what is counted, in the plural; `B` for bytes.
        done: units that were done before.
        lap: units that are an epoch, where a log is to count epochs.
        shown: False for a step whose progress another process shows.
        at_once: show the bar from the beginning, for a few long units.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        unit: str,
        *,
        done: int = 0,
        lap: int | None = None,
        shown: bool = True,
        at_once: bool = False,
    ):
        self.label, self.total, self.unit, self.lap = label, total, unit, lap
        self.begun = self.done = done
        self.start = self.said_at = time.monotonic()
        self.said = self._share
        self.logged = shown and log.isEnabledFor(logging.DEBUG)
        self.bar: Any = None
        if shown and not self.logged and sys.stderr.isatty():
            self.bar = self._bar(0 if at_once else DELAY)

    def _bar(self, delay: float) -> Any:
        from tqdm import tqdm

        return tqdm(
            desc=self.label,
            total=self.total,
            initial=self.done,
            unit=self.unit if self.unit == "B" else f" {self.unit}",
            unit_scale=self.unit == "B",
            bar_format=BAR.replace(" {unit}", "{unit}") if self.total else None,
            delay=delay,
            dynamic_ncols=True,
            leave=False,
        )

    def advance(self, count: int = 1) -> None:
        """Count units that were done."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif self.logged and self._is_due():
            self.said, self.said_at = self._share, time.monotonic()
            log.debug("%s: %s", self.label, self.text())

    def note(self, **values: str) -> None:
        """Show values behind the bar."""
        if self.bar is not None:
            self.bar.set_postfix(values)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()

    @property
    def _share(self) -> float:
        return self.done / self.total if self.total else 0.0

    def _is_due(self) -> bool:
        waited = time.monotonic() - self.said_at
        return waited >= SELDOM or (waited >= OFTEN and self._share >= self.said + SHARE)

    def text(self) -> str:
        """Such as `epoch 3 of 10, 25 %, 4 min left`."""
        if not self.total:
            return f"{self.done} {self.unit}"
        if self.lap:
            laps = self.total // self.lap
            parts = [f"epoch {min(self.done // self.lap + 1, laps)} of {laps}"]
        else:
            parts = [f"{self.done} of {self.total} {self.unit}"]
        parts.append(f"{100 * self._share:.0f} %")
        if self.begun < self.done < self.total:
            spent = time.monotonic() - self.start
            left = spent * (self.total - self.done) / (self.done - self.begun)
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


@contextmanager
def progress(label: str, total: int | None, unit: str, **how: Any) -> Iterator[Progress]:
    """Show a step's progress while the block runs, see `Progress`."""
    shown = Progress(label, total, unit, **how)
    try:
        yield shown
    finally:
        shown.close()


def tracked(
    items: Iterable[T], label: str, unit: str, total: int | None = None, *, shown: bool = True
) -> Iterator[T]:
    """The items, with a progress that counts them; `total` where they do not tell how many they are."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(label, total, unit, shown=shown) as step:
        for item in items:
            yield item
            step.advance()


def duration(seconds: float) -> str:
    """Such as `40 s`, `4 min`, `1 h 20 min`, `2 d 3 h`."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
