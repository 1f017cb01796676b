"""The table of a data set of your own: a CSV file with one clip per line."""

import csv
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmcl.datasets.clip import MOST
from mmcl.datasets.names import MAX_LENGTH, clip_name, name_fault
from mmcl.datasets.text import text_lines
from mmcl.errors import UserError, meant, shown

log = logging.getLogger(__name__)

COLUMNS = ("name", "label", "subject", "camera", "setup", "split", "skeleton", "video")
NUMBERS = {"camera": 1, "setup": 1}
"""Columns that hold numbers, and the value of an empty field: the only camera and setup."""
SPLITS = ("train", "test", "")
MAX_BYTES = 64 * 2**20
DELIMITERS = ",;\t"

INDEX = re.compile(r"|unnamed: \d+")
"""How the column of a spreadsheet's or a data frame's row numbers is named."""

LETTERED = re.compile(r"([A-Za-z]+[ _-]?)(\d{1,8})")
"""A number as subjects are often named: P01, S-3."""

WHOLE = re.compile(r"(\d{1,8})(?:[.,]0*)?")
"""A whole number; data frames write 1.0 where a column has gaps."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        line: its number.
        values: column → text without surrounding spaces.
        extra: (column, text) of further columns with a text in this line.
    """

    line: int
    values: dict[str, str]
    extra: tuple[tuple[str, str], ...] = ()


def read_rows(
    path: Path, columns: Sequence[str], key: str, max_bytes: int, others: bool = False
) -> tuple[list[str], Iterator[Row], str]:
    """Read a CSV file whose first line names its columns, with or without capitals.

    A line `sep=;` before it, as spreadsheets write it, states the delimiter. A column without a name is left out: the
    first one, of row numbers, or an empty one.

    Args:
        path: text, see `text_lines`; delimited by commas, semicolons or tabs.
        columns: the columns that it may have, in lower case.
        key: a column that it must have; the delimiter is recognised by it.
        max_bytes: size beyond which it is refused.
        others: whether it may have others, too. A name much like that of a column which is not there is a mistake.

    Returns:
        Its columns, its lines but the empty ones, and the delimiter. The lines are read as they are asked for.

    Raises:
        UserError: not such a file; names line and column.
    """
    lines = text_lines(path, max_bytes)
    first, number = next(lines, ""), 1
    if stated := re.fullmatch(r'"?sep=(.)[",;\s]*', first):
        first, number = next(lines, ""), 2
    delimiters = stated[1] if stated else DELIMITERS
    found = [mark for mark in delimiters if key in _fields(first, mark)]
    if not found:
        raise UserError(
            f"{path}: line {number}: no column {key!r} (columns are named there, separated by , ; or tab):"
            f" {shown(first.strip())}"
        )
    (delimiter, *_), every = found, _fields(first, found[0])
    unnamed = [i for i, name in enumerate(every) if INDEX.fullmatch(name)]
    names = [name for i, name in enumerate(every) if i not in unnamed]
    for name in names:
        if name not in columns and not (others and not meant(name, set(columns) - set(names))):
            raise UserError(
                f"{path}: line {number}: unknown column {shown(name)}{meant(name, columns)};"
                f" known: {', '.join(columns[:12])}"
            )
        if names.count(name) > 1:
            raise UserError(f"{path}: line {number}: two columns {name!r}")

    def rows() -> Iterator[Row]:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                line = number + reader.line_num
                if not any(field.strip() for field in fields):
                    continue
                if len(fields) != len(every):
                    raise UserError(
                        f"{path}: line {line}: has {len(fields)} fields, line {number} names {len(every)} columns"
                    )
                if extra := next((fields[i] for i in unnamed if i and fields[i].strip()), ""):
                    raise UserError(f"{path}: line {line}: {shown(extra)} is in a column without a name")
                kept = (field.strip() for i, field in enumerate(fields) if i not in unnamed)
                yield Row(line, dict(zip(names, kept, strict=True)))
        except csv.Error as error:
            raise UserError(f"{path}: cannot be read as CSV ({error})") from None

    return names, rows(), delimiter


def _fields(line: str, delimiter: str) -> list[str]:
    """The names in a table's first line."""
    try:
        return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def read_table(path: Path) -> list[Row]:
    """The lines of a table of clips, with every column of COLUMNS (empty where the file lacks it).

    Raises:
        UserError: names file, line and column of what is wrong.
    """
    names, rows, _ = read_rows(path, COLUMNS, "name", MAX_BYTES, others=True)
    others = [name for name in names if name not in COLUMNS]
    seen: dict[str, int] = {}
    table = []
    for row in rows:
        values = {column: row.values.get(column, "") for column in COLUMNS}
        _check(path, row.line, values)
        name = values["name"] = clip_name(values["name"])
        if name in seen:
            raise UserError(
                f"{path}: line {row.line}, column name: {shown(name)} is in line {seen[name]} already"
            )
        seen[name] = row.line
        extra = tuple((key, row.values[key]) for key in others if row.values[key])
        table.append(Row(row.line, values, extra))
    if not table:
        raise UserError(f"{path}: lists no clip")
    for column in NUMBERS:
        _read_numbers(path, column, table)
    with suppress(UserError):  # texts remain texts
        _read_numbers(path, "subject", table)
    _read_sides(path, table)
    return table


def number(row: Row, column: str) -> int:
    """A field of NUMBERS, which `read_table` has checked."""
    return int(row.values[column] or NUMBERS[column])


def _check(path: Path, line: int, values: dict[str, str]) -> None:
    def wrong(column: str, what: str) -> UserError:
        return UserError(f"{path}: line {line}, column {column}: {shown(values[column])} {what}")

    if not values["name"]:
        raise wrong("name", "is empty")
    values["subject"] = unicodedata.normalize("NFC", values["subject"])
    for column in ("name", "label", "subject"):
        text = values[column]
        if text and name_fault(text):
            raise wrong(
                column, f"is longer than {MAX_LENGTH} characters or holds characters that cannot be printed"
            )
    if "/" in values["name"] or "\\" in values["name"]:
        raise wrong("name", "is a path; a file goes into the column skeleton or video")


def _read_numbers(path: Path, column: str, table: list[Row]) -> None:
    """Turn a column's fields into plain decimals: 1.0 is 1, and P01 where every field has the same letters."""
    texts = {row.values[column] for row in table} - {""}
    lettered = [LETTERED.fullmatch(text) for text in texts]
    form = LETTERED if len({match and match[1] for match in lettered}) == 1 and all(lettered) else WHOLE
    numbers: list[str] = []
    for row in table:
        text = row.values[column]
        match = form.fullmatch(text) if text.isascii() else None
        if text and (not match or int(match[form.groups]) > MOST):
            raise UserError(
                f"{path}: line {row.line}, column {column}: {shown(text)} is no number from 0 to {MOST}"
            )
        numbers.append(str(int(match[form.groups])) if match else "")
    for row, number in zip(table, numbers, strict=True):
        row.values[column] = number


def _read_sides(path: Path, table: list[Row]) -> None:
    """Turn the column split into train and test; `val` is the test side of a table that names no other."""
    for row in table:
        row.values["split"] = row.values["split"].lower()
    sides = {row.values["split"] for row in table}
    if "val" in sides and "test" not in sides:
        log.info("%s: column split: val is taken as test", path)
        for row in table:
            row.values["split"] = row.values["split"].replace("val", "test")
    for row in table:
        if (side := row.values["split"]) not in SPLITS:
            more = "; leave the field of a third side empty" if side == "val" else ""
            raise UserError(
                f"{path}: line {row.line}, column split: {shown(side)} is not train, test or empty{more}"
            )
