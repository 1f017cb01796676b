"""Loaded by every Python of a test's run.

The executor asks Slurm every second: it would wait 10 s longer after each answer in which no job has ended, up to three
minutes. And a training takes more memory than its job was given when a file named `ballast` appears beside `results`.
"""

import asyncio
import os
import signal
import sys
import threading
import time

_sleep = asyncio.sleep


async def _short(seconds, *result):
    return await _sleep(min(seconds, 1), *result)


asyncio.sleep = _short


def _take():
    while True:
        try:
            os.unlink("ballast")
        except OSError:
            time.sleep(0.05)
            continue
        kept.append(b"\1" * (1200 << 20))
        os.kill(os.getpid(), signal.SIGSTOP)


kept = []
if any(part.endswith("train_stream.py") for part in sys.orig_argv):
    threading.Thread(target=_take, daemon=True).start()
