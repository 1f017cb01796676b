"""Reads damaged files in a process of its own: `read_damaged.py <manifest.json>`; prints what became of each.

The manifest is a list of {kind, dataset, file, cases: [[what, path], …]}: each case takes the place of the data set's
file. Readers run without interference, so that a crash, a hang or too much memory shows.
"""

import json
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import h5py  # noqa: F401
import numpy as np
import scipy.io  # noqa: F401
from made_readers import opened

from mmcl.errors import UserError
from mmcl.layouts import get_layout

CPU_SECONDS = 4
MIB = 1 << 20
ADDRESS_SPACE = 3 << 30
"""A net under the test; what a reader really takes is reported as `memory`."""

LONGEST = 600


ROW = re.compile(r"/(train|val)/\d+: ")
"""A clip of CrosSCLR's, to which two files belong."""


class TooSlow(BaseException):
    """Not an Exception, so that nobody catches it by the way."""


def too_slow(*_: Any) -> None:
    raise TooSlow


def memory(field: str) -> int:
    """VmRSS, the memory of this process, or VmHWM, the most since `forget_peak`; MiB."""
    # not from getrusage: there a process begins with the peak of the one that started it
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) >> 10


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def attempt(dataset: dict[str, Any], file: Path) -> tuple[str, str]:
    """(what became of it, more about that): read, reported or wrong."""
    reasons = []
    clips = 0
    try:
        reader = opened(**dataset)
        for entry in reader.list_clips():
            if why := entry.left_out or ("" if entry.skeleton else "no skeleton file"):
                reasons.append(f"{file.name}: {why}")
                continue
            try:
                clip = reader.read_clip(entry)
            except UserError as error:
                if wrong := mistake(error, file):
                    return "wrong", wrong
                reasons.append(str(error))
                continue
            sizes = clip.ndim == 4 and (clip.shape[2], clip.shape[3]) == (len(get_layout(reader.layout)), 3)
            if not sizes or clip.dtype != np.float32 or not len(clip) or not np.isfinite(clip).all():
                return "wrong", f"a clip of {clip.dtype} {clip.shape}, finite: {np.isfinite(clip).all()}"
            clips += 1
            try:
                reader.pixel_joints(entry, 640, 480)
            except UserError as error:  # some data sets have no places in the picture, whatever the file
                reasons.append(str(error))
    except UserError as error:
        return ("wrong", wrong) if (wrong := mistake(error, file)) else ("reported", str(error))
    return ("read", f"{clips} clips") if clips else ("reported", "; ".join(reasons) or "nothing listed")


def mistake(error: UserError, file: Path) -> str:
    """What is wrong with a message, "" if nothing is."""
    text = str(error)
    cause: BaseException | None = error
    while cause := cause.__cause__ or cause.__context__:
        if isinstance(cause, MemoryError):
            return f"memory ran out: {text}"
    if file.name not in text and not ROW.search(text):
        return f"does not name the file: {text[:LONGEST]}"
    if len(text) > LONGEST or "\n" in text:
        return f"{len(text)} characters: {text[:LONGEST]!r}"
    return ""


def main() -> None:
    signal.signal(signal.SIGPROF, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # readers of one large file keep it open
    for item in json.loads(Path(sys.argv[1]).read_text()):
        file = Path(item["file"])
        attempt(item["dataset"], file)  # the good file: imports and caches
        for what, path in item["cases"]:
            os.replace(path, file)
            print(json.dumps([item["kind"], what]), end=" ", flush=True)
            forget_peak()
            before, start = memory("VmRSS"), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            try:
                state, detail = attempt(item["dataset"], file)
            except TooSlow:
                state, detail = "wrong", f"more than {CPU_SECONDS} s"
            except BaseException:
                state, detail = "wrong", traceback.format_exc(limit=-4)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            more = {"seconds": round(time.process_time() - start, 2), "memory": memory("VmHWM") - before}
            print(json.dumps({"state": state, "detail": detail[:2000], **more}), flush=True)


if __name__ == "__main__":
    main()
