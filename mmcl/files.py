"""Files that are complete or absent, a full disk, and locks. Standard library only."""

import errno
import fcntl
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmcl.errors import UserError

log = logging.getLogger(__name__)


FULL = (errno.ENOSPC, errno.EDQUOT)
"""Of a disk, or of a user's part of it."""
PROBE = 1 << 20
"""Bytes that are written to see whether a disk is full."""


class Busy(UserError):
    """Another process holds a lock."""


class DiskFull(UserError):
    """There is no space for a file."""


@contextmanager
def disk_full_named(path: Path, outcome: str = "nothing was written") -> Iterator[None]:
    """Name a full disk in one sentence, whatever the error is that a library reports.

    Args:
        path: what is written in the block.
        outcome: what has become of it.

    Raises:
        DiskFull: the block failed for want of space.
    """
    try:
        yield
    except (OSError, RuntimeError, DiskFull) as error:
        if isinstance(error, DiskFull) or _for_want_of_space(error, path.parent):
            raise DiskFull(f"{path}: disk full; {outcome}, free space and run again") from error
        raise


def _for_want_of_space(error: Exception, folder: Path) -> bool:
    """Whether an error comes from a full disk.

    torch reports it as a RuntimeError, HDF5 as an OSError without errno or as a RuntimeError; so it is tried whether a
    file can still be written. That shows a user's quota too, and the space that is kept for the administrator.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno in FULL
    if any(f"errno = {number}" in str(error) for number in FULL):
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as probed:
        return probed.errno in FULL
    return False


@contextmanager
def written(path: str | Path, *, sync: bool = False, shared: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name and rename it, so that `path` never holds half of it.

    If the block raises, `path` stays as it was and the temporary file is removed.

    Raises:
        DiskFull: there was no space.

    Args:
        path: the file.
        sync: flush it to the disk before the rename, so that it survives a power failure.
        shared: several processes may write it at the same time, each under a name of its own.

    Yields:
        Where to write it: a file beside `path` with the same suffix.
    """
    path = Path(path)
    own = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f"{path.stem}{own}.tmp{path.suffix}")
    try:
        with disk_full_named(path):
            yield temporary
            if sync:
                with open(temporary, "rb") as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str, *, sync: bool = False) -> None:
    """Write UTF-8 text in one step, see `written`."""
    with written(path, sync=sync, shared=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """Readable JSON with a line end: a list of numbers is one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON escapes line ends inside strings, so a bracket followed by a line end begins a list
    text = re.sub(r"\[\n([-+.\deE,\s]+)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    return text + "\n"


def write_json(path: str | Path, value: Any, *, sync: bool = False) -> None:
    """Write `json_text` in one step, see `written`."""
    write_text(path, json_text(value), sync=sync)


_unlocked: set[Path] = set()
"""Folders without locks that this process has warned of."""


def read_json(path: str | Path) -> Any:
    """The content of a JSON file of the project's own.

    Raises:
        UserError: it is absent, cannot be read, or is not JSON, as after a power failure.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); delete it and run again") from None


@contextmanager
def locked(path: Path, busy: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file for this process alone; it is created with its folder if it is absent.

    The block may delete the lock file. On a file system that has no locks the block runs without, after a warning.

    Args:
        path: the lock file.
        busy: the message if another process holds it.
        wait: wait for the other process instead of raising.

    Yields:
        Whether another process held it before.

    Raises:
        Busy: another process holds it.
    """
    waited = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "a")  # noqa: SIM115
        except FileNotFoundError:  # the folder was removed by the process that held the lock
            continue
        with file:
            # the lock belongs to the open file, so the system releases it however the process ends
            try:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not wait:
                        raise Busy(busy) from None
                    log.info("%s", busy)
                    waited = True
                    fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:  # such as ENOLCK from NFS without its lock daemon, or ENOSYS
                warn_unlocked(path.parent, error)
            if _is_still(path, file.fileno()):
                yield waited
                return


def warn_unlocked(folder: Path, error: OSError) -> None:
    """Say once for a folder that files are used without a lock."""
    if folder not in _unlocked:
        _unlocked.add(folder)
        log.warning(
            "%s: files cannot be locked on this file system (%s): going on without a lock; "
            "do not start the same work there twice",
            folder,
            error.strerror,
        )


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
