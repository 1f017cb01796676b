"""The table of a data set of your own: a CSV file with one clip per line."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmcl.errors import UserError, meant

COLUMNS = ("name", "label", "subject", "camera", "setup", "split", "skeleton", "video")
NUMBERS = {"subject": 0, "camera": 1, "setup": 1}
"""Columns that hold numbers, and the value of an empty field: an unknown subject, the only camera and setup."""
SPLITS = ("train", "test", "")
MOST = 32_767
"""Greatest number of a subject, camera or setup: what a store holds."""
MAX_BYTES = 64 * 2**20
MAX_LENGTH = 200
"""Characters of a name or a label."""
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """A line of the table: its number, and column → text without surrounding spaces."""

    line: int
    values: dict[str, str]


def read_rows(
    path: Path, columns: Sequence[str], key: str, max_bytes: int
) -> tuple[list[str], list[Row], str]:
    """Read a CSV file whose first line names its columns.

    Args:
        path: UTF-8, with or without a byte order mark; delimited by commas, semicolons or tabs.
        columns: the columns that it may have.
        key: a column that it must have; the delimiter is recognised by it.
        max_bytes: size beyond which it is refused.

    Returns:
        Its columns, its lines but the empty ones, and the delimiter.

    Raises:
        UserError: not such a file; names line and column.
    """
    lines: list[tuple[int, list[str]]] = []
    try:
        if path.stat().st_size > max_bytes:
            raise UserError(
                f"{path}: has {path.stat().st_size} bytes, more than the {max_bytes} that are read"
            )
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            found = [
                mark
                for mark in DELIMITERS
                if key in [name.strip() for name in next(csv.reader([first], delimiter=mark), [])]
            ]
            if not found:
                shown = first.strip()[:80]
                raise UserError(
                    f"{path}: line 1: no column {key!r} (columns are named there, separated by , ; or tab): {shown!r}"
                )
            file.seek(0)
            reader = csv.reader(file, delimiter=found[0], strict=True)
            lines = [(reader.line_num, fields) for fields in reader]
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as CSV UTF-8"
        ) from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from None
    names = [name.strip() for name in lines[0][1]]
    for name in names:
        if name not in columns:
            raise UserError(
                f"{path}: line 1: unknown column {name[:40]!r}{meant(name, columns)}; known: {', '.join(columns[:12])}"
            )
        if names.count(name) > 1:
            raise UserError(f"{path}: line 1: two columns {name!r}")
    rows = []
    for number, fields in lines[1:]:
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(names):
            raise UserError(
                f"{path}: line {number}: has {len(fields)} fields, line 1 names {len(names)} columns"
            )
        rows.append(Row(number, dict(zip(names, (field.strip() for field in fields), strict=True))))
    return names, rows, found[0]


def read_table(path: Path) -> list[Row]:
    """The lines of a table of clips, with every column of COLUMNS (empty where the file lacks it).

    Raises:
        UserError: names file, line and column of what is wrong.
    """
    _, rows, _ = read_rows(path, COLUMNS, "name", MAX_BYTES)
    seen: dict[str, int] = {}
    full = []
    for row in rows:
        values = {column: row.values.get(column, "") for column in COLUMNS}
        _check(path, row.line, values)
        name = values["name"]
        if name in seen:
            raise UserError(f"{path}: line {row.line}, column name: {name!r} is in line {seen[name]} already")
        seen[name] = row.line
        full.append(Row(row.line, values))
    if not full:
        raise UserError(f"{path}: lists no clip")
    return full


def number(row: Row, column: str) -> int:
    """A field of NUMBERS, which `read_table` has checked."""
    return int(row.values[column] or NUMBERS[column])


def _check(path: Path, line: int, values: dict[str, str]) -> None:
    def wrong(column: str, what: str) -> UserError:
        return UserError(f"{path}: line {line}, column {column}: {values[column][:80]!r} {what}")

    if not values["name"]:
        raise wrong("name", "is empty")
    for column in ("name", "label"):
        text = values[column]
        if len(text) > MAX_LENGTH or not text.isprintable():
            raise wrong(
                column, f"is longer than {MAX_LENGTH} characters or holds characters that cannot be printed"
            )
    if "/" in values["name"] or "\\" in values["name"]:
        raise wrong("name", "is a path; a file goes into the column skeleton or video")
    for column in NUMBERS:
        text = values[column]
        if text and not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) <= MOST):
            raise wrong(column, f"is no number from 0 to {MOST}")
    if values["split"] not in SPLITS:
        raise wrong("split", "is not train, test or empty")
