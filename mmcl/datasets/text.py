"""Text files as users save them: UTF-8 or UTF-16, with the line ends of any system."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from mmcl.errors import UserError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order mark → encoding; without one a file is UTF-8."""

LONGEST = 100_000
"""Characters of a line."""

MAX_LINES = 1_000_000
"""A small file may have millions of lines, each of which takes 50 bytes more than its text."""


def text_lines(path: Path, max_bytes: int) -> Iterator[str]:
    """The lines of a text file one after another, with their line ends as they are.

    Args:
        path: in UTF-8, with or without a byte order mark, or UTF-16 with one, as Windows' programs save it.
        max_bytes: size beyond which it is refused.

    Raises:
        UserError: it cannot be read, is no such text, or is too large; names the file and, if possible, the line.
    """
    count = 0
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UserError(f"{path}: has {size} bytes, more than the {max_bytes} that are read")
        with open(path, "rb") as file:
            start = file.read(4)
        encoding = next((name for mark, name in MARKS if start.startswith(mark)), "utf-8")
        # newline "" keeps line ends, which may lie within a quoted field of a table
        with open(path, newline="", encoding=encoding) as text:
            while line := text.readline(LONGEST + 1):
                count += 1
                if len(line) > LONGEST:
                    raise UserError(f"{path}: line {count}: has more than {LONGEST} characters")
                if count > MAX_LINES:
                    raise UserError(f"{path}: has more than {MAX_LINES} lines")
                yield line
    except UnicodeError:
        raise UserError(f"{path}: {_undecodable(path)}; save it as UTF-8 (in Excel: CSV UTF-8)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _undecodable(path: Path) -> str:
    """Where a file is not UTF-8."""
    data = path.read_bytes()
    if not data.startswith(codecs.BOM_UTF8) and data.startswith(tuple(mark for mark, _ in MARKS)):
        return "is damaged UTF-16"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        # an old Mac's lines end with a carriage return alone
        line = 1 + (before.count(b"\n") or before.count(b"\r"))
        return f"line {line}: not UTF-8 (byte {error.start} is {data[error.start]:#04x})"
    return "not UTF-8"
