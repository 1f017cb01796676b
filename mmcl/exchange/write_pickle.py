"""Pickles of plain data, written one value after another, for any Python 3 and any numpy.

Python's own pickler needs everything in memory at once, and what it writes of an array with numpy 2 an older numpy
cannot read. These are protocol-3 pickles that name the array constructor as all versions know it.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

START, STOP = b"\x80\x03", b"."
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def dump(file: IO[bytes], content: dict[str, Any]) -> None:
    """Write a pickle of a dict.

    Args:
        file: open for writing.
        content: plain data: dicts, lists, tuples, text, numbers, None, arrays of numbers; and iterators, each of
            which becomes a list without being held in memory.
    """
    file.write(START)
    for piece in pieces(content):
        file.write(piece)
    file.write(STOP)


def pieces(value: Any) -> Iterator[bytes]:
    """The instructions that make a value.

    Raises:
        TypeError: not plain data.
    """
    match value:
        case None:
            yield b"N"
        case bool():
            yield b"\x88" if value else b"\x89"
        case int():
            size = value.bit_length() // 8 + 1
            yield b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        case float():
            yield b"G" + struct.pack(">d", value)
        case str():
            text = value.encode("utf-8")
            yield b"X" + struct.pack("<I", len(text)) + text
        case np.ndarray():
            yield from _array(value)
        case dict():
            yield b"}("
            for key, item in value.items():
                yield from pieces(key)
                yield from pieces(item)
            yield b"u"
        case tuple():
            yield from _sequence(b"(", value, b"t")
        case list() | Iterator():
            yield from _sequence(b"](", value, b"e")
        case _:
            raise TypeError(f"{type(value).__name__} is not plain data")


def _sequence(begin: bytes, values: Iterable[Any], end: bytes) -> Iterator[bytes]:
    yield begin
    for value in values:
        yield from pieces(value)
    yield end


def _array(array: np.ndarray) -> Iterator[bytes]:
    dtype = array.dtype.newbyteorder("<")
    yield ARRAY + b"(K\x01"
    yield from pieces(tuple(array.shape))
    yield b"cnumpy\ndtype\n"
    yield from pieces(dtype.str[1:])
    yield b"\x89\x88\x87R(K\x03"
    yield from pieces("<" if dtype.itemsize > 1 else "|")
    yield b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    data = np.ascontiguousarray(array, dtype).tobytes()
    yield b"B" + struct.pack("<I", len(data)) + data
    yield b"tb"
