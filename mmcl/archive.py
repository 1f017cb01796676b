"""The zip archives that `torch.save` writes: a checksum of our own, and their directory before torch opens them.

torch reads neither the archive's CRC-32 nor the sizes in its directory: a flipped bit gives other numbers, and a
record of a few megabytes may be inflated to the whole memory. Standard library only.

The checksum is the archive's comment, the last bytes of the file: `mmcl sha256 ` and 64 hex digits of the sha256 over
all bytes before these digits, the length of the comment included. torch and other zip readers skip it.
"""

import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from mmcl.errors import Damaged, UserError, shown

COMMENT = b"mmcl sha256 "
DIGITS = 64
CHECKSUM = len(COMMENT) + DIGITS

FIRST, LAST, LAST_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
"""Signatures: of a record, of the directory's end, and of the locator before it in large archives."""
LAST_SIZE, LAST_64_SIZE, DIRECTORY_64_SIZE = 22, 20, 56

DIRECTORY_LIMIT = 16 << 20
"""Bytes of a directory: some hundred thousand records, where the largest networks have some thousand."""
PICKLE_LIMIT = 64 << 20
"""Bytes of the pickle that names the tensors."""


def seal(path: str | Path) -> None:
    """Append the checksum to an archive that `torch.save` has just written."""
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", CHECKSUM) + COMMENT)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.write(digest.encode())


def check(path: Path) -> None:
    """Check a file before torch opens it; one that is no zip archive is left to torch.

    Every changed bit of a file that `seal` wrote is found. Other archives are held to the CRC-32 of their records.

    Raises:
        Damaged: the content of a file that `seal` wrote is another.
        UserError: damaged otherwise; compressed records, records that exceed the file, more than a checkpoint can have.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(len(FIRST))
        file.seek(max(0, size - CHECKSUM))
        comment = file.read()
        sealed = comment.startswith(COMMENT)
        if sealed:
            file.seek(0)
            digest = _sha256(file, size - DIGITS)
            # compared as bytes: digits in another case are changed bits, too
            if digest.encode() != comment[len(COMMENT) :]:
                raise Damaged(f"{path}: damaged: its content does not fit its checksum", path)
        elif start != FIRST:
            return
        end = size - LAST_SIZE - (CHECKSUM if sealed else 0)
        _check_place(file, path, end, CHECKSUM if sealed else 0)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(archive, path, size)
            if not sealed:
                _check_records(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise _damaged(path, f"its zip archive cannot be read ({shown(str(error))})") from None


def _sha256(file: BinaryIO, size: int) -> str:
    """Of the next `size` bytes."""
    digest = hashlib.sha256()
    while size > 0 and (part := file.read(min(size, 1 << 20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def _check_place(file: BinaryIO, path: Path, end: int, comment: int) -> None:
    """The directory is where the archive ends, and small enough to be read."""
    file.seek(max(0, end))
    record = file.read(LAST_SIZE)
    if record[:4] != LAST or record[-2:] != struct.pack("<H", comment):
        raise _damaged(path, "the end of its zip archive is missing, or followed by what is no checksum")
    size, start = struct.unpack_from("<II", record, 12)
    located = end
    if end >= LAST_64_SIZE + DIRECTORY_64_SIZE:
        large_end = end - LAST_64_SIZE - DIRECTORY_64_SIZE
        file.seek(large_end)
        large = file.read(DIRECTORY_64_SIZE + LAST_64_SIZE)
        if large[DIRECTORY_64_SIZE:].startswith(LAST_64):
            size, start = struct.unpack_from("<QQ", large, 40)
            end = large_end
            located = struct.unpack_from("<Q", large, DIRECTORY_64_SIZE + 8)[0]
    if start + size != end or located != end:  # readers differ in what they take for the directory then
        raise _damaged(path, "the directory of its zip archive is not where it should be")
    if size > DIRECTORY_LIMIT:
        raise UserError(
            f"{path}: refused: more records than a checkpoint has, their list alone is {size} bytes"
        )


def _check_directory(archive: zipfile.ZipFile, path: Path, size: int) -> None:
    """No record is compressed, all together are no larger than the file, and each name is there once."""
    records = archive.infolist()
    if any(record.filename.endswith("/constants.pkl") for record in records):
        raise UserError(
            f"{path}: refused: a program of TorchScript; save the network's state_dict() with torch.save"
        )
    if not any(record.filename.endswith("data.pkl") for record in records):
        raise UserError(f"{path}: refused: a zip archive, but none of torch.save")
    names = set()
    for record in records:
        name = shown(record.filename)
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise UserError(f"{path}: refused: its record {name} is compressed, which torch.save never does")
        if record.filename in names:
            raise UserError(f"{path}: refused: its record {name} is there twice")
        if record.filename.endswith("data.pkl") and record.file_size > PICKLE_LIMIT:
            raise UserError(
                f"{path}: refused: its record {name} has {record.file_size} bytes, no list of tensors"
            )
        names.add(record.filename)
    if sum(record.file_size for record in records) > size:
        raise UserError(f"{path}: refused: its records are larger than the file")


def _check_records(archive: zipfile.ZipFile, path: Path) -> None:
    """Every record fits its CRC-32; `torch.serialization.set_crc32_options(False)` writes zero for all of them."""
    if not any(record.CRC for record in archive.infolist()):
        return
    for record in archive.infolist():
        try:
            with archive.open(record) as file:
                while file.read(1 << 20):
                    pass
        except zipfile.BadZipFile:
            raise _damaged(path, f"its record {shown(record.filename)} does not fit its checksum") from None


def _damaged(path: Path, reason: str) -> UserError:
    """Not `Damaged`: the file may be one from outside, which no command makes anew."""
    return UserError(
        f"{path}: damaged: {reason}; get it anew, or delete it if it was made here and run again"
    )
