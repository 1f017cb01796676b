"""How a row measures: time of many calls, peak memory, what the package logs, a profile of kernels."""

import gc
import json
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

ROUNDS = 3
KERNELS = 25
"""Of a profile."""
MOST_NOTES = 12


class Absent(Exception):
    """Something that a row needs is not installed here."""


class Timing(NamedTuple):
    """Seconds of a call.

    Attributes:
        first: of the first call, with all that is compiled and loaded for it.
        warm: of all calls before the measured ones.
        median: over the rounds.
    """

    first: float
    warm: float
    median: float


class Notes(logging.Handler):
    """What the package logs while a row is measured, each message once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.messages: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        self.messages[f"{level}{record.getMessage()}"] = None


class Measurement:
    """One row while it is measured.

    Args:
        file: where its findings go as soon as they are known, as JSON, so that a crash later on loses none; None to
            keep them here alone.
        tiny: sizes for a try on a CPU, where nothing that is timed means anything.
        until: of `time.monotonic`, when the row should be done.

    Attributes:
        found: the findings.
        device: that is measured.
    """

    def __init__(self, file: Path | None, tiny: bool, until: float):
        self.file = file
        self.tiny = tiny
        self.until = until
        self.device = torch.device("cpu" if tiny else "cuda")
        self.notes = Notes()
        self.found: dict[str, Any] = {}

    @property
    def left(self) -> float:
        """Seconds that the row has left."""
        return self.until - time.monotonic()

    def report(self, **values: Any) -> None:
        """Findings by name; one that was there before is replaced."""
        self.found |= values
        self.found["notes"] = [*self.notes.messages][:MOST_NOTES]
        if self.file:
            temporary = self.file.with_suffix(".new")
            temporary.write_text(json.dumps(self.found, ensure_ascii=False), encoding="utf-8")
            temporary.replace(self.file)

    def note(self, message: str) -> None:
        """A finding in words."""
        self.notes.messages[message] = None

    def synchronise(self) -> None:
        """Wait until the GPU has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, call: Callable[[], object], *, warm: int, seconds: float = 0.7) -> Timing:
        """Median time of a call over a few rounds of many calls.

        Args:
            call: what is measured.
            warm: calls before that.
            seconds: that a round should take about.
        """
        first = self._round(call, 1)
        start = time.perf_counter() - first
        if self.tiny:
            return Timing(first, first, first)
        for _ in range(warm - 1):
            call()
        self.synchronise()
        so_far = time.perf_counter() - start
        one = self._round(call, 1)
        calls = max(1, min(500, math.ceil(seconds / one)))
        return Timing(first, so_far, median(self._round(call, calls) for _ in range(ROUNDS)))

    def _round(self, call: Callable[[], object], calls: int) -> float:
        self.synchronise()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronise()
        return (time.perf_counter() - start) / calls

    def begin_memory(self) -> None:
        """Give back what is not used any more, and measure the peak from here on."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> float | None:
        """Peak of the GPU memory that tensors took, in GB (10⁹ bytes)."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else None

    def reference(self, timing: Timing, count: float) -> None:
        """Report the reference way, of so many clips a call."""
        self.report(reference=count / timing.median, reference_ms=1e3 * timing.median)
        self.report(reference_memory=self.memory())

    def ours(self, timing: Timing, count: float) -> None:
        """Report the package's way, of so many clips a call."""
        self.report(ours=count / timing.median, ours_ms=1e3 * timing.median, ours_memory=self.memory())
        self.report(first_step=timing.first, warm_up=timing.warm, kernels=kernels_used())

    def profile(self, call: Callable[[], object], calls: int = 3) -> None:
        """Report which kernels take the time of a call; a profiler that fails costs the row nothing else."""
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU] if self.device.type == "cpu" else [ProfilerActivity.CUDA]
        calls = 1 if self.tiny else calls
        try:
            with profile(activities=activities) as profiler:
                for _ in range(calls):
                    call()
                self.synchronise()
            self.report(profile=kernel_table(profiler, calls, self.device.type))
        except Exception as error:
            self.report(profile=f"no profile: {type(error).__name__}: {error}")


def kernel_table(profiler: Any, calls: int, device: str) -> str:
    """Kernels by their time, per call. The profiler does not know how many bytes each moves."""
    # private names changed between versions of torch: "cuda" became "device"
    attribute = "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
    rows = [
        (getattr(event, attribute) / calls / 1e3, event.count / calls, event.key)
        for event in profiler.key_averages()
        if getattr(event, attribute) > 0
    ]
    rows.sort(reverse=True)
    total, count = sum(row[0] for row in rows), sum(row[1] for row in rows)
    lines = [
        f"{total:.3f} ms and {count:.0f} kernels a call",
        "",
        "| ms | share | calls | kernel |",
        "|---|---|---|---|",
    ]
    for spent, number, name in rows[:KERNELS]:
        name = name.replace("|", "¦")
        name = name if len(name) <= 110 else f"{name[:107]}…"
        lines.append(f"| {spent:.3f} | {100 * spent / total:.1f} % | {number:.0f} | `{name}` |")
    return "\n".join(lines)


def kernels_used() -> dict[str, str]:
    """Triton kernel → in how many forms it passed its check, of those that were tried."""
    from mmcl.models import kernels

    forms: dict[str, list[bool]] = {}
    for (name, _), passed in kernels._trusted.items():
        forms.setdefault(name, []).append(passed)
    return {name: f"{sum(passed)} of {len(passed)} forms" for name, passed in sorted(forms.items())}


def about_machine() -> dict[str, str]:
    """What the figures belong to."""
    import platform
    import subprocess

    about = {"python": platform.python_version(), "torch": torch.__version__, "cuda": str(torch.version.cuda)}
    try:
        import triton

        about["triton"] = triton.__version__
    except ImportError:
        about["triton"] = "not installed"
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.max.sm",
        "--format=csv,noheader",
    ]
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(query, check=True, capture_output=True, text=True, timeout=20).stdout
        about["gpu"] = found.strip().splitlines()[0]
    about["cores"] = str(len(os.sched_getaffinity(0)))
    return about


def gpu_there() -> bool:
    """Whether torch sees a GPU, by the driver's library alone."""
    return torch.cuda.is_available()
