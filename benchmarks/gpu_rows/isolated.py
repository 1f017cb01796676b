"""A row in a process of its own, so that a crash, a hang or a spoilt CUDA context ends that row alone.

The process is forked from one that has imported torch and has not touched the GPU: on a machine with slow cores an
import takes as long as a row.
"""

import logging
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gpu_rows.measurement import Absent, Measurement

from mmcl.helpers import end_with_parent


def isolated(measure: Callable[[], None], limit: float, log: Path) -> str:
    """Run in a process, whose output goes to a file.

    Returns:
        Why it ended early, empty if it did not.
    """
    process = multiprocessing.get_context("fork").Process(target=_child, args=(measure, log))
    process.start()
    try:
        process.join(limit)
        if process.is_alive():
            return f"ran past its limit of {limit:.0f} s"
    finally:
        with suppress(ProcessLookupError):  # with its own helpers, which may outlive it
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    code = process.exitcode or 0
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with status {code}" if code else ""


def _child(measure: Callable[[], None], log: Path) -> None:
    os.setsid()
    end_with_parent()
    with open(log, "w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    measure()


def guarded(row: Callable[..., None], measurement: Measurement, arguments: dict[str, str]) -> None:
    """Measure a row and report what it raises."""
    logger = logging.getLogger("mmcl")
    level = logger.level
    logger.addHandler(measurement.notes)
    logger.setLevel(logging.INFO)
    try:
        row(measurement, **arguments)
        measurement.report(done=True)
    except Absent as error:
        measurement.report(skipped=str(error))
    except Exception as error:
        traceback.print_exc()
        measurement.report(failed=f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    finally:
        logger.removeHandler(measurement.notes)
        logger.setLevel(level)
