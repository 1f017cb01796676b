"""Helper processes end with the process that started them, however that ends. Standard library only."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent ends."""


def end_with_parent(*_: object) -> None:
    """Let the system end this process, which multiprocessing started, as soon as its parent has ended.

    A process that is killed with SIGKILL cannot stop its helpers, which would wait for work for ever. To be called by
    every helper at its start: the initializer of a pool, the `worker_init_fn` of a data loader. On Linux the parent is
    the thread that started the helper; it must live as long as the helper is needed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        # by the system, as a thread of this process does not run while a C library keeps the interpreter's lock
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it ended before
            os._exit(1)
    else:
        threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
