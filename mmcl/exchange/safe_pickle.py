"""Pickles of plain data, read without Python's unpickler: nothing is imported, nothing is called.

A pickle is a program for a small stack machine. This module is that machine with the instructions that plain data needs
(protocols 0 to 5): dicts, lists, tuples, text, numbers, and numpy arrays and scalars of numbers as numpy 1 and 2
write them. The few names of numpy that such a pickle mentions are looked up in a table here; any other name, and
every instruction that would build an object, ends the reading.

Arrays stay in the file and are represented by their offset (`FileArray`), so a file of gigabytes needs memory for its
names and labels only, and no array can be larger than the file.
"""

import codecs
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from mmcl.errors import UserError, one_line, shown
from mmcl.exchange.arrays import read_at

MAX_STEPS = 50_000_000
"""Instructions; the pickle of all of NTU RGB+D 120 has some 10 million."""

MAX_STACK = 1_000_000
"""Values that wait to become a list's, a tuple's or a dict's; Python's pickler writes lists and dicts in thousands."""

MAX_CONTAINERS, MAX_ITEMS = 4_000_000, 8_000_000
"""Lists, tuples, dicts and arrays, and the values in lists and dicts. The pickle of the 240,000 clips of Kinetics-400
has 2.4 and 2.9 million."""

MAX_SEEN = 2_000_000
"""Lists, tuples and dicts in what is read, each as often as it is referred to: a small file whose lists hold the one
before twice stands for any number of them."""

MAX_DEPTH = 32
"""Of lists in lists; coordinates written as lists have some 6."""

DEEP = f"lists are nested more than {MAX_DEPTH} deep, or hold themselves"

MAX_AXES = 8
MAX_BITS = 256
"""Of an integer."""

MAX_KEY = 2**53
"""An integer that is a key; greater ones can be chosen so that a dict takes for ever."""

MAX_TEXT = 128 * 2**20
"""Bytes; Python 2 wrote the numbers of an array as text."""

KEPT = 1024
"""Byte strings of more bytes are the numbers of an array: they are passed over and read when asked for."""

CONTAINERS = (list, tuple, dict)

NUMBER = re.compile(r"[<>|=]?([fiu][1248]|b1)")


class PickleError(Exception):
    """Not a pickle of plain data; gives the reason."""


class Span(NamedTuple):
    """A byte string's place in the file."""

    begin: int
    size: int

    def __len__(self) -> int:
        return self.size


class Name(NamedTuple):
    """A global name that a pickle mentions, one of those admitted."""

    name: str


@dataclass(slots=True)
class Dtype:
    """A dtype of numbers; its byte order comes after it."""

    code: str
    order: Literal["<", ">", "|", "="] = "|"

    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)


@dataclass(slots=True)
class FileArray:
    """An array of a pickle.

    Attributes:
        path: the pickle.
        shape, dtype: of the array.
        data: its bytes, or where they lie in the file.
        stored, order: shape and order (`C` or `F`) in which the numbers are stored.
        axes: of the stored array in the order of `shape`.
    """

    path: Path
    shape: tuple[int, ...] = ()
    dtype: np.dtype = np.dtype("f4")  # noqa: RUF009 - never changed in place
    data: bytes | Span = b""
    stored: tuple[int, ...] = ()
    order: Literal["C", "F"] = "C"
    axes: tuple[int, ...] = ()

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> "FileArray":
        """Set what the array holds, if that fits together; `axes` come with order K, a transposed C array."""
        data = data.encode("latin-1") if isinstance(data, str) else data  # as Python 2 wrote it
        if not isinstance(dtype, Dtype) or not isinstance(data, bytes | Span) or order not in ("C", "F", "K"):
            raise PickleError("an array that is not written as numpy does")
        shape = tuple(shape)
        if len(shape) > MAX_AXES or not all(type(size) is int and size >= 0 for size in shape):
            raise PickleError(f"an array of shape {shown(shape)}")
        if math.prod(shape) * dtype.numpy().itemsize != len(data):
            raise PickleError(f"an array of shape {shape} does not have {len(data)} bytes")
        self.axes = tuple(range(len(shape))) if axes is None else tuple(axes)
        if len(self.axes) != len(shape) or set(self.axes) != set(range(len(shape))):
            raise PickleError(f"an array of shape {shape} with axes {shown(self.axes)}")
        self.stored, self.shape = shape, tuple(shape[axis] for axis in self.axes)
        self.data, self.dtype, self.order = data, dtype.numpy(), "F" if order == "F" else "C"
        return self

    def read(self) -> np.ndarray:
        """The numbers.

        Raises:
            UserError: the file has changed since.
        """
        data = self.data
        if isinstance(data, Span):
            with open(self.path, "rb") as file:
                data = read_at(file, data.begin, data.size, str(self.path))
        flat = np.frombuffer(data, self.dtype)
        return flat.reshape(self.stored, order=self.order).transpose(self.axes)


def load(path: Path) -> Any:
    """What a pickle of plain data holds; arrays as `FileArray`.

    Raises:
        UserError: no such file, damaged, or it holds something else; names the file, the place and the cause.
    """
    try:
        with open(path, "rb") as file:
            machine = _Machine(path, file)
            try:
                content = machine.run()
                _check_size(content)
                return content
            except PickleError as error:
                raise UserError(f"{path}: byte {file.tell()}: {error}") from None
            except (MemoryError, RecursionError) as error:
                raise UserError(f"{path}: byte {file.tell()}: too large ({type(error).__name__})") from None
            except OSError:
                raise
            except Exception as error:  # what a damaged program makes Python raise
                cause = one_line(str(error), 80)
                raise UserError(f"{path}: byte {file.tell()}: damaged ({cause})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _check_size(content: Any) -> None:
    """Refuse what is nested too deeply, or larger than the file because it refers to the same lists again and again.

    Raises:
        PickleError: it is.
    """
    level, seen = [content], 0
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if type(item) in CONTAINERS:
                seen += 1 + len(item) // 100
                if seen > MAX_SEEN:
                    raise PickleError(
                        f"stands for more than {MAX_SEEN:,} lists, tuples and dicts; coordinates belong in numpy arrays"
                    )
                inner += item.values() if type(item) is dict else item
        level = [item for item in inner if type(item) in CONTAINERS]
        if not level:
            return
    raise PickleError(DEEP)


# ------------------------------------------------------------------------------------------ the machine


class _Machine:
    """Stack, marks and memo of a pickle that is being read."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file = path, file
        self.size = path.stat().st_size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.containers = self.items = 0

    def run(self) -> Any:
        for _ in range(MAX_STEPS):
            code = self.file.read(1)
            if code == b".":
                return self.pop(1)[0]
            step = STEPS.get(code)
            if step is None:
                if not code:
                    raise PickleError("ends early")
                raise PickleError(f"instruction {code!r} builds more than plain data, or this is no pickle")
            step(self)
            if len(self.marks) > MAX_DEPTH:
                raise PickleError(DEEP)
            if len(self.stack) > MAX_STACK:
                raise PickleError(f"has more than {MAX_STACK:,} values that are in no list yet")
        raise PickleError(f"has more than {MAX_STEPS:,} instructions")

    # reading

    def take(self, size: int) -> bytes:
        if size > self.size - self.file.tell():  # before anything is allocated for it
            raise PickleError("ends early")
        return self.file.read(size)

    def number(self, form: str) -> int:
        number: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def line(self) -> bytes:
        line = self.file.readline(MAX_TEXT)
        if not line.endswith(b"\n"):
            raise PickleError("ends early")
        return line[:-1]

    def text(self, form: str) -> None:
        size = self.number(form)
        if size > max(MAX_TEXT, KEPT):
            raise PickleError(f"a text of {size} bytes" if size <= self.size else "ends early")
        self.stack.append(self.take(size).decode("utf-8"))

    def long(self, form: str) -> int:
        size = self.number(form)
        if size > MAX_BITS // 8:
            raise PickleError(f"an integer of {8 * size} bits" if size <= self.size else "ends early")
        return int.from_bytes(self.take(size), "little", signed=True)

    def data(self, form: str) -> None:
        size = self.number(form)
        if size <= KEPT:
            self.stack.append(self.take(size))
            return
        begin = self.file.tell()
        if size > self.size - begin:
            raise PickleError("ends early")
        self.stack.append(Span(begin, size))
        self.file.seek(size, 1)

    # the stack

    def make(self, container: Any) -> None:
        """Push a list, tuple, dict or array."""
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise PickleError(f"has more than {MAX_CONTAINERS:,} lists, tuples, dicts and arrays")
        self.stack.append(container)

    def count(self, items: list[Any]) -> None:
        self.items += len(items)
        if self.items > MAX_ITEMS:
            raise PickleError(f"has more than {MAX_ITEMS:,} values in lists and dicts")

    def pop_mark(self) -> list[Any]:
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def pop(self, count: int) -> list[Any]:
        at = len(self.stack) - count
        if at < (self.marks[-1] if self.marks else 0):
            raise PickleError("damaged (a value is missing)")
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise PickleError("damaged (appends to something that is no list)")
        self.count(items)
        target.extend(items)

    def update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise PickleError("damaged (sets items of something that is no dict)")
        if len(items) % 2:
            raise PickleError("damaged (a key without a value)")
        self.count(items)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise PickleError(f"a dict has a key of type {type(key).__name__}")
            if isinstance(key, int) and abs(key) > MAX_KEY:
                raise PickleError(f"a dict has the key {shown(key)}")
            target[key] = value

    def dict(self, items: list[Any]) -> None:
        self.make({})
        self.update(items)

    def list(self, items: list[Any]) -> None:
        self.make([])
        self.extend(items)

    # names, and what is made of them

    def find(self, module: str, name: str) -> None:
        meant = NAMES.get((module, name))
        if meant is None:
            raise PickleError(
                f"refers to {one_line(module, 60)}.{one_line(name, 60)}; only plain data and numpy arrays of numbers"
                " are read"
            )
        self.stack.append(Name(meant))

    def find_on_stack(self) -> None:
        module, name = self.pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("damaged (a name that is no text)")
        self.find(module, name)

    def reduce(self) -> None:
        function, arguments = self.pop(2)
        make = MAKERS.get(function.name) if isinstance(function, Name) and type(arguments) is tuple else None
        if make is None:
            raise PickleError("calls something that is not one of numpy's array constructors")
        self.make(make(self.path, *arguments))

    def build(self) -> None:
        state = self.pop(1)[0]
        target = self.stack[-1]
        if isinstance(target, FileArray):
            _, shape, dtype, fortran, data = state
            target.fill(data, dtype, shape, "F" if fortran else "C")
        elif isinstance(target, Dtype):
            order, subdtype, fields = state[1], state[2], state[3]
            if order not in ("<", ">", "|", "=") or subdtype is not None or fields is not None:
                raise PickleError("an array does not hold plain numbers")
            target.order = order
        else:
            raise PickleError("sets the state of an object")

    def number_line(self) -> int | bool:
        line = self.line()
        if len(line) > MAX_BITS // 3:
            raise PickleError(f"an integer of {len(line)} digits")
        return line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L"))


# --------------------------------------------------------------------------------- instructions and names


def _dtype(path: Path, code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str) or not NUMBER.fullmatch(code):
        raise PickleError(
            f"an array holds {one_line(code, 20) if isinstance(code, str) else shown(code)}, not plain numbers"
        )
    return Dtype(code)


def _scalar(path: Path, dtype: Any, data: Any) -> int | float | bool:
    value: int | float | bool = FileArray(path).fill(data, dtype, (), "C").read().item()
    return value


def _encode(path: Path, text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PickleError(f"text as {shown(encoding)}")
    return text.encode("latin-1")


def _path(path: Path, *parts: Any) -> str:
    """A path of Python's, as the text that it stands for."""
    if not all(isinstance(part, str) for part in parts):
        raise PickleError("a path that is no text")
    return "/".join(part.rstrip("/\\") for part in parts)


def _empty(kind: Callable[[], Any]) -> Callable[..., Any]:
    def make(path: Path, *arguments: Any) -> Any:
        if arguments:
            raise PickleError(f"a {kind.__name__} made of something")
        return kind()

    return make


MAKERS: dict[str, Callable[..., Any]] = {
    "reconstruct": lambda path, *_: FileArray(path),
    "frombuffer": lambda path, *state: FileArray(path).fill(*state),
    "dtype": _dtype,
    "scalar": _scalar,
    "encode": _encode,
    "bytes": _empty(bytes),
    "dict": _empty(dict),
    "path": _path,
}
"""Name → constructor. `ndarray` occurs only as an argument, so it needs none."""

NAMES = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "reconstruct" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "scalar" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "frombuffer" for core in ("core", "_core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
    ("collections", "OrderedDict"): "dict",
    **{
        (module, f"{pure}{system}Path"): "path"
        for module in ("pathlib", "pathlib._local")
        for pure in ("", "Pure")
        for system in ("", "Posix", "Windows")
    },
}
"""Every global name that is admitted."""


def _push(value: Callable[["_Machine"], Any]) -> Callable[["_Machine"], None]:
    return lambda m: m.stack.append(value(m))


def _get(form: str) -> Callable[["_Machine"], None]:
    return lambda m: m.stack.append(m.memo[m.number(form)])


def _put(form: str) -> Callable[["_Machine"], None]:
    return lambda m: m.memo.__setitem__(m.number(form), m.stack[-1])


STEPS: dict[bytes, Callable[[_Machine], Any]] = {
    # numbers and text
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _push(lambda m: m.number_line()),
    b"L": _push(lambda m: m.number_line()),
    b"J": _push(lambda m: m.number("<i")),
    b"K": _push(lambda m: m.number("<B")),
    b"M": _push(lambda m: m.number("<H")),
    b"\x8a": _push(lambda m: m.long("<B")),
    b"\x8b": _push(lambda m: m.long("<I")),
    b"F": _push(lambda m: float(m.line())),
    b"G": _push(lambda m: m.number(">d")),
    b"S": _push(lambda m: codecs.escape_decode(m.line()[1:-1])[0].decode("latin-1")),
    b"V": _push(lambda m: m.line().decode("raw-unicode-escape")),
    b"T": _push(lambda m: m.take(m.number("<I")).decode("latin-1")),
    b"U": _push(lambda m: m.take(m.number("<B")).decode("latin-1")),
    b"X": lambda m: m.text("<I"),
    b"\x8c": lambda m: m.text("<B"),
    b"\x8d": lambda m: m.text("<Q"),
    b"B": lambda m: m.data("<I"),
    b"C": lambda m: m.data("<B"),
    b"\x8e": lambda m: m.data("<Q"),
    b"\x96": lambda m: m.data("<Q"),
    # lists, tuples, dicts
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"]": lambda m: m.make([]),
    b"}": lambda m: m.make({}),
    b")": _push(lambda m: ()),
    b"l": lambda m: m.list(m.pop_mark()),
    b"t": lambda m: m.make(tuple(m.pop_mark())),
    b"\x85": lambda m: m.make(tuple(m.pop(1))),
    b"\x86": lambda m: m.make(tuple(m.pop(2))),
    b"\x87": lambda m: m.make(tuple(m.pop(3))),
    b"d": lambda m: m.dict(m.pop_mark()),
    b"a": lambda m: m.extend(m.pop(1)),
    b"e": lambda m: m.extend(m.pop_mark()),
    b"s": lambda m: m.update(m.pop(2)),
    b"u": lambda m: m.update(m.pop_mark()),
    # arrays
    b"c": lambda m: m.find(m.line().decode(), m.line().decode()),
    b"\x93": lambda m: m.find_on_stack(),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
    # memo, stack, protocol
    b"p": lambda m: m.memo.__setitem__(int(m.line()), m.stack[-1]),
    b"q": _put("<B"),
    b"r": _put("<I"),
    b"\x94": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    b"g": _push(lambda m: m.memo[int(m.line())]),
    b"h": _get("<B"),
    b"j": _get("<I"),
    b"0": lambda m: m.pop(1),
    b"1": lambda m: m.pop_mark(),
    b"2": _push(lambda m: m.stack[-1]),
    b"\x80": lambda m: m.take(1),
    b"\x95": lambda m: m.take(8),  # a frame's length: frames are a hint for readers that buffer
}
"""Instruction → what it does. Those that are not here build objects: OBJ, INST, NEWOBJ, PERSID, EXT, sets, …"""
