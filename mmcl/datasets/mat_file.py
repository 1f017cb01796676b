"""Positions of joints over time from MATLAB files of level 5 (MathWorks, "MAT-File Format"; not `-v7.3`, not `-v4`).

A separate reader for variables of numbers only: `scipy.io.loadmat` trusts the sizes in a file, and damaged ones crash
the process.
"""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from mmcl.errors import UserError

MAX_FRAMES = 100_000
MAX_BYTES = 64 << 20
"""Of a file, and of a variable when unpacked: 20 joints in 100,000 frames take 48 MB."""

HEADER = 128
PEEK = 4096
"""Bytes of a compressed variable that hold its description."""

STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How numbers lie in an element: its data type → NumPy's name. Doubles may lie there as small integers."""

INT8, INT32, UINT32, MATRIX, COMPRESSED, UTF8 = 1, 5, 6, 14, 15, 16
CLASSES = {1: "cells", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix"}
"""Other classes of variables."""
NUMBERS = range(6, 16)
COMPLEX = 0x0800
MOST_AXES = 16


class Damage(Exception):
    """The bytes do not follow the format; the message states what is wrong and where."""


class Element(NamedTuple):
    """A piece of data: its type, where its content starts and ends, and where the next element lies."""

    kind: int
    start: int
    end: int
    next: int


class Variable(NamedTuple):
    """A variable's description, the offset of its numbers, and its size in bytes."""

    name: str
    kind: int
    complex: bool
    shape: tuple[int, ...]
    numbers_at: int
    size: int


def read_joints(path: Path, variable: str, joints: int, columns: Sequence[int]) -> np.ndarray:
    """A variable of joints × columns × frames. Sizes stated in the file are checked before anything is read.

    Args:
        path: of the file.
        variable: its name.
        joints: how many there must be.
        columns: how many numbers a joint may have.

    Returns:
        (T, joints, columns) float64.

    Raises:
        UserError: not such a file, or no such variable; names what was found.
    """
    try:
        found = _find(path, variable, joints, columns)
    except OSError as error:
        _fail(path, f"cannot be read ({error.strerror})")
    except Damage as damage:
        _fail(path, f"cannot be read as a MATLAB file ({damage})")
    if found is None:
        _fail(path, f"has no variable {variable}")
    return found


def _fail(path: Path, cause: str) -> NoReturn:
    raise UserError(f"{path}: {cause}")


def _find(path: Path, variable: str, joints: int, columns: Sequence[int]) -> np.ndarray | None:
    """See `read_joints`; None if there is no such variable."""
    order, data = _open(path)
    at = HEADER
    while at < len(data):
        element = _element(data, at, order)
        try:
            about = _describe(_matrix(data, at, element), order)
            if about.name == variable:
                shape = _checked_shape(path, about, joints, columns)
                if about.size > about.numbers_at + 16 + 8 * math.prod(shape):
                    raise Damage(f"has {about.size} bytes, too many for what it holds")
                values = _numbers(about, _matrix(data, at, element, about.size), order)
                return values.reshape(shape, order="F").transpose(2, 0, 1).astype(np.float64)
        except Damage as damage:
            raise Damage(f"the variable at byte {at}: {damage}") from None
        at = element.end if element.kind == COMPRESSED else element.next
    return None


def _open(path: Path) -> tuple[str, bytes]:
    """The byte order in NumPy's notation, and the content of a file."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Damage(f"has {size} bytes; a clip has at most {MAX_BYTES}")
    data = path.read_bytes()
    if data.startswith(b"MATLAB 7.3"):
        raise Damage("it is of version 7.3; save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[HEADER - 2 : HEADER])
    if order is None:
        raise Damage("it has no header of level 5")
    return order, data


def _element(data: bytes, at: int, order: str) -> Element:
    if at + 8 > len(data):
        raise Damage(f"ends at byte {len(data)}, where an element should begin")
    kind, size = np.frombuffer(data, f"{order}u4", 2, at).tolist()
    if kind >> 16:  # up to four bytes lie in the second half of the tag
        element = Element(kind & 0xFFFF, at + 4, at + 4 + (kind >> 16), at + 8)
        if element.end > element.next:
            raise Damage(f"byte {at}: a short element of {kind >> 16} bytes")
        return element
    end = at + 8 + size
    return Element(kind, at + 8, end, end + -end % 8)


def _matrix(data: bytes, at: int, element: Element, size: int | None = None) -> bytes:
    """The element of a variable, unpacked if it is compressed: `size` bytes, or just the first ones."""
    if element.end > len(data):
        raise Damage(f"ends at byte {len(data)} instead of {element.end}")
    if element.kind != COMPRESSED:
        return data[at : element.end]
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(data[element.start : element.end], size or PEEK)
        # zlib checks the checksum at the end of the stream only
        if size and (unpack.decompress(unpack.unconsumed_tail, 1) or not unpack.eof):
            raise Damage(f"does not unpack to {size} bytes")
    except zlib.error as error:
        raise Damage(f"cannot be unpacked ({error})") from None
    return content


def _describe(data: bytes, order: str) -> Variable:
    """What a variable is, from the first bytes of its element."""
    matrix = _element(data, 0, order)
    if matrix.kind != MATRIX:
        raise Damage(f"type {matrix.kind} where a variable should begin")
    flags = _element(data, matrix.start, order)
    axes = _element(data, flags.next, order)
    name = _element(data, axes.next, order)
    if (
        (flags.kind, flags.end - flags.start) != (UINT32, 8)
        or axes.kind != INT32
        or name.kind not in (INT8, UTF8)
    ):
        raise Damage("its description is not one of MATLAB's")
    count = (axes.end - axes.start) // 4
    if not 2 <= count <= MOST_AXES or name.end > len(data):
        raise Damage(f"has {count} axes, or a name of {name.end - name.start} bytes")
    bits = int(np.frombuffer(data, f"{order}u4", 1, flags.start)[0])
    shape = tuple(np.frombuffer(data, f"{order}i4", count, axes.start).tolist())
    text = data[name.start : name.end].decode("utf-8", "replace")
    return Variable(text, bits & 0xFF, bool(bits & COMPLEX), shape, name.next, matrix.end)


def _checked_shape(path: Path, about: Variable, joints: int, columns: Sequence[int]) -> tuple[int, ...]:
    """(joints, columns, frames)."""
    # MATLAB drops a last dimension of 1
    shape = (*about.shape, 1) if len(about.shape) == 2 else about.shape
    if len(shape) != 3 or shape[0] != joints or shape[1] not in columns or not 0 < shape[2] <= MAX_FRAMES:
        expected = f"{joints}×{' or '.join(map(str, columns))}×frames"
        _fail(path, f"{about.name} is {'×'.join(map(str, shape))}, expected {expected}")
    if about.kind not in NUMBERS or about.complex:
        named = CLASSES.get(about.kind, f"class {about.kind}")
        _fail(path, f"{about.name} holds {'complex numbers' if about.complex else named}, expected numbers")
    return shape


def _numbers(about: Variable, data: bytes, order: str) -> np.ndarray:
    """(n,) all numbers of a variable, in the file's order."""
    element = _element(data, about.numbers_at, order)
    if element.kind not in STORED:
        raise Damage(f"its numbers are of type {element.kind}")
    dtype, count = np.dtype(f"{order}{STORED[element.kind]}"), math.prod(about.shape)
    if element.end - element.start != count * dtype.itemsize or element.end > len(data):
        raise Damage(f"{count} numbers are stated, but it has {element.end - element.start} bytes for them")
    return np.frombuffer(data, dtype, count, element.start)
