"""Arrays (N, …) in `.npy` and `.npz` files, read one row at a time at its offset in the file.

A plain read at the offset keeps memory to one row, and a file that is truncated meanwhile gives an error; a memory map
would count every page it touched, and a truncated file would end the process.
"""

import math
import os
import tempfile
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmcl.datasets.npy_header import npy_header
from mmcl.errors import UserError, one_line

MAX_ROW = 64 * 2**20
"""Bytes of one row: a clip of NTU RGB+D has 180,000."""

MAX_RATIO, SMALL = 100, 256 * 2**20
"""A packed array of more than SMALL bytes that is over MAX_RATIO times its packed size is no recording."""


class Rows:
    """An array (N, …) of numbers in a file.

    Attributes:
        where: file, and the member of it, for messages.
        shape, dtype: of the array.
    """

    def __init__(self, path: Path, where: str, begin: int, size: int):
        """Read the header of the array that takes `size` bytes of `path` from `begin` on.

        Raises:
            UserError: not an array of numbers, or not as long as its header states.
        """
        self.path, self.where = path, where
        self._file = open(path, "rb")  # noqa: SIM115 - read from as long as the object lives
        self._file.seek(begin)
        self.shape, self.dtype = read_header(self._file, where)
        self._begin = self._file.tell()
        needs = math.prod(self.shape) * self.dtype.itemsize
        if begin + size - self._begin != needs or begin + size > path.stat().st_size:
            raise UserError(f"{where}: is not as long as its shape {self.shape} states; cut off?")

    def __len__(self) -> int:
        return self.shape[0]

    def row(self, i: int) -> np.ndarray:
        """Row i as an array of its own.

        Raises:
            UserError: the file has become shorter.
        """
        row: np.ndarray = self.rows(i, i + 1)[0]
        return row

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        count = (stop - start) * size
        data = read_at(self._file, self._begin + start * size, count, self.where)
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


class PackedRows(Rows):
    """The same in a compressed member of an npz, which can be read from its beginning only.

    On the first use all rows are written, without the zeros at their end, to an unnamed temporary file, which the
    system removes with the process. It lies in the system's folder of temporary files (environment variable TMPDIR).
    """

    def __init__(self, path: Path, where: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo):
        self.path, self.where = path, where
        self._archive, self._member = archive, member
        if member.file_size > max(SMALL, MAX_RATIO * member.compress_size):
            ratio = member.file_size // max(member.compress_size, 1)
            raise UserError(f"{where}: unpacks to {ratio} times its size; that is no recording")
        with archive.open(member) as file:
            self.shape, self.dtype = read_header(file, where)
            header = file.tell()
        if member.file_size - header != math.prod(self.shape) * self.dtype.itemsize:
            raise UserError(f"{where}: is not as long as its shape {self.shape} states")

    @cached_property
    def _unpacked(self) -> tuple[IO[bytes], np.ndarray]:
        """The temporary file, and (N + 1) where each row begins in it, in elements of the first axis of a row."""
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        starts = [0]
        size = math.prod(self._row) * self.dtype.itemsize
        with self._archive.open(self._member) as file:
            read_header(file, self.where)
            for _ in range(len(self)):
                row = np.frombuffer(_exactly(file, size, self.where), self.dtype).reshape(self._row)
                used = _used(row)
                spool.write(row[:used].tobytes())
                starts.append(starts[-1] + used)
        spool.flush()
        return spool, np.array(starts)

    @property
    def _row(self) -> tuple[int, ...]:
        """Shape of a row, of one element where the array has one axis."""
        return self.shape[1:] or (1,)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows.rows`."""
        try:
            spool, starts = self._unpacked
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UserError(f"{self.where}: cannot be unpacked ({one_line(str(error), 200)})") from None
        inner = self._row[1:]
        step = math.prod(inner) * self.dtype.itemsize
        out = np.zeros((stop - start, *self._row), self.dtype)
        for i in range(start, stop):
            first, last = int(starts[i]), int(starts[i + 1])
            data = read_at(spool, first * step, (last - first) * step, self.where)
            out[i - start, : last - first] = np.frombuffer(data, self.dtype).reshape(-1, *inner)
        return out.reshape(-1, *self.shape[1:])


def open_npy(path: Path) -> Rows:
    """The array of a `.npy` file.

    Raises:
        UserError: no such file, or not an array of numbers.
    """
    try:
        return Rows(path, str(path), 0, path.stat().st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def open_npz(path: Path) -> dict[str, Rows]:
    """The arrays of a `.npz` file by name. Nothing but the headers is read.

    Raises:
        UserError: not an npz, or an array in it is not of numbers.
    """
    try:
        archive = zipfile.ZipFile(path)
        return {
            member.filename.removesuffix(".npy"): _open_member(path, archive, member)
            for member in archive.infolist()
        }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{path}: cannot be read as an npz file ({one_line(str(error), 200)})") from None


def _open_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Rows:
    where = f"{path}/{one_line(member.filename, 80)}"
    if member.flag_bits & 1:
        raise UserError(f"{where}: is encrypted")
    if member.compress_type != zipfile.ZIP_STORED:
        return PackedRows(path, where, archive, member)
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        local = file.read(30)
    # the local header's own lengths count: its extra field differs from the directory's
    if len(local) < 30 or local[:4] != b"PK\3\4":
        raise UserError(f"{where}: something else lies at its offset in the file")
    begin = member.header_offset + 30 + int.from_bytes(local[26:28], "little")
    return Rows(path, where, begin + int.from_bytes(local[28:30], "little"), member.file_size)


def read_header(file: Any, where: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a `.npy` stream; the stream is then at its data.

    Raises:
        UserError: no `.npy` header, or no rows of plain numbers or text in C order.
    """
    shape, fortran, dtype = npy_header(file, where)
    if dtype.kind not in "fiubU" or dtype.itemsize == 0:
        raise UserError(f"{where}: holds {one_line(str(dtype), 80)}, expected numbers")
    if not shape or (fortran and len(shape) > 1):
        raise UserError(
            f"{where}: must be rows one after another (C order); save it with numpy.ascontiguousarray"
        )
    if math.prod(shape[1:]) * dtype.itemsize > MAX_ROW or min(shape[1:], default=1) < 1:
        raise UserError(f"{where}: a row of shape {shape[1:]} is no clip")
    return shape, dtype


def read_at(file: IO[bytes], begin: int, size: int, where: str) -> bytes:
    """`size` bytes from `begin` on, without moving the file's own position.

    Raises:
        UserError: the file ends before.
    """
    parts = []
    while size:
        part = os.pread(file.fileno(), min(size, 2**30), begin)
        if not part:
            raise UserError(f"{where}: ends early")
        parts.append(part)
        begin, size = begin + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _exactly(file: IO[bytes], size: int, where: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise UserError(f"{where}: ends early")
    return data


def _used(row: np.ndarray) -> int:
    """Elements of the first axis without those at its end that are all zero."""
    there = np.flatnonzero((row != row.dtype.type()).reshape(len(row), -1).any(1))
    return int(there[-1]) + 1 if len(there) else 0
