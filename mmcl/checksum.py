"""The checksum at the head of a store.

HDF5 leaves the first bytes of a file to the user (its "user block"). A store has 512 of them: one line with the sha256
of everything behind them, `tail -c +513 STORE | sha256sum`, and zeros. It is checked before the HDF5 library sees the
file, because a flipped bit may give other numbers, or keep the library busy for ever.
"""

import hashlib
from pathlib import Path

from mmcl.errors import Damaged

BLOCK = 512
"""Bytes of the user block; HDF5 wants a power of two, at least this."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file without user block begins with."""


def write(path: Path) -> None:
    """Put the checksum at the head of an HDF5 file that has a user block."""
    with open(path, "r+b") as file:
        file.seek(BLOCK)
        head = _head(hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        file.write(head)


def check(path: Path) -> None:
    """Check a file against its checksum. HDF5 files without user block, as older versions wrote them, have none.

    Raises:
        Damaged: the content is not what was written, or the beginning is of neither kind.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(BLOCK)
        if head.startswith(SIGNATURE):
            return
        if not head.startswith(b"mmcl"):
            raise Damaged(f"{path}: cannot be read as HDF5: damaged, or a file of another kind", path)
        if head != _head(hashlib.file_digest(file, "sha256").hexdigest()):
            raise Damaged(f"{path}: damaged: it does not hold what was written (its sha256 is another)", path)


def _head(digest: str) -> bytes:
    return f"mmcl sha256 {digest}\n".encode().ljust(BLOCK, b"\0")
