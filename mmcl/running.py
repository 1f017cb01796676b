"""Outputs of a running workflow belong to it until it ends, also where Snakemake was told `--nolock`.

Snakemake removes the outputs of a job before it starts the job and after it fails. So a second run that plans the same
job would remove what the first one has just finished. Standard library only.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from mmcl.errors import UserError

log = logging.getLogger(__name__)

FILE = "outputs.lock"

_held: int | None = None
"""The open file: the locks are this process's until it is closed, however the process ends."""


def hold(outputs: Iterable[str], folder: Path) -> None:
    """Hold outputs for this process alone, until it ends.

    Every output is a byte of one lock file, at a place that follows from its name.

    Args:
        outputs: files that this run will make.
        folder: where the lock file lies: Snakemake's own in the working directory.

    Raises:
        UserError: another run is to make one of them.
    """
    global _held
    folder.mkdir(parents=True, exist_ok=True)
    _held = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o666)
    for output in outputs:
        place = int.from_bytes(hashlib.sha256(str(output).encode()).digest()[:7], "big")
        try:
            fcntl.lockf(_held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            os.close(_held)
            raise UserError(
                f"{output}: another run of the workflow in this folder is to make it; wait for that run or stop it"
            ) from None
        except OSError as error:  # a file system without locks
            log.warning("%s: runs at the same time are not noticed (%s)", folder / FILE, error)
            return
