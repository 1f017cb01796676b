"""A row in a process of its own, so that a crash, a hang or a spoilt CUDA context ends that row alone."""

import faulthandler
import functools
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gpu_rows import Row
from gpu_rows.measurement import Absent, Measurement
from mmcl.helpers import end_with_parent


def isolated(work: Callable[[], None], limit: float, log: Path, method: str = "fork") -> str:
    """Run in a process, whose output goes to a file.

    Args:
        work: what is run.
        limit: seconds.
        log: the file.
        method: `fork` begins with what is imported here, on a machine with slow cores that saves as much time as a row
            takes; the GPU must not have been touched here. `spawn` begins anew.

    Returns:
        Why it ended early, empty if it did not.
    """
    child = functools.partial(_child, work, limit, log)
    process = multiprocessing.get_context(method).Process(target=child)
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


def _child(work: Callable[[], None], limit: float, log: Path) -> None:
    os.setsid()
    end_with_parent()
    with open(log, "w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    faulthandler.enable(file=2)
    # where it hangs, if it does
    faulthandler.dump_traceback_later(max(1.0, limit - 1), file=2)
    try:
        work()
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # without what a library does at its end, which may hang or crash
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def guarded(row: Row, measurement: Measurement) -> None:
    """Measure a row and report what it raises."""
    logger = logging.getLogger("mmcl")
    level = logger.level
    logger.addHandler(measurement.notes)
    logger.setLevel(logging.INFO)
    try:
        module, _, function = row.function.partition(":")
        getattr(importlib.import_module(f"gpu_rows.{module}"), function)(measurement, **row.arguments)
        measurement.report(done=True)
    except Absent as error:
        measurement.report(skipped=str(error))
    except Exception as error:
        traceback.print_exc()
        measurement.report(failed=f"{type(error).__name__}: {' '.join(str(error).split())[:250]}")
    finally:
        logger.removeHandler(measurement.notes)
        logger.setLevel(level)
