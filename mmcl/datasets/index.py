"""The index of a data set: a TSV file with one clip per line.

Columns of the user's own table follow after those of the index; one that has the name of such a column gets a trailing
underscore there.
"""

import csv
import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import MOST, ClipEntry
from mmcl.datasets.files import leads_out
from mmcl.errors import UserError, one_line, shown
from mmcl.files import written

COLUMNS = tuple(field.name for field in dataclasses.fields(ClipEntry) if field.name != "extra")
NUMBERS = ("camera", "setup")
PATHS = ("skeleton", "video")
SPLITS = ("train", "test", "")
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


def write_index(path: str | Path, entries: Iterable[ClipEntry]) -> None:
    """Write clips in the order given; `frames` is empty where unknown. Appears whole or not at all.

    Paths are kept byte by byte, in whatever encoding the file system has them.
    """
    path, entries = Path(path), list(entries)
    extra = list(dict.fromkeys(column for entry in entries for column, _ in entry.extra))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as temporary, open(temporary, "w", newline="", **ENCODING) as file:
        writer, quoting = (
            csv.writer(file, delimiter="\t", lineterminator="\n", quoting=how)
            for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        writer.writerow([*COLUMNS, *(_column(name) for name in extra)])
        for entry in entries:
            paths = {column: os.fsencode(getattr(entry, column)).decode(**ENCODING) for column in PATHS}
            # None is written as nothing
            fields = [paths[column] if column in PATHS else getattr(entry, column) for column in COLUMNS]
            stated = dict(entry.extra)
            fields += [stated.get(column, "") for column in extra]
            # the writer quotes for its own line ends alone, the reader takes a carriage return for one too
            texts = (entry.skeleton, entry.video, *stated.values())
            (quoting if any("\r" in text for text in texts) else writer).writerow(fields)


def read_index(path: str | Path) -> list[ClipEntry]:
    """Read clips written by `write_index`.

    Raises:
        UserError: no such file, other columns, or a row that cannot be read; names file and line.
    """
    try:
        with open(path, newline="", **ENCODING) as file:
            rows = list(csv.reader(file, delimiter="\t"))
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as an index ({error})") from None
    header = rows[0] if rows else []
    if not set(COLUMNS) <= set(header) or len(set(header)) < len(header):
        raise UserError(f"{path}: not an index; its first line must be the columns {' '.join(COLUMNS)}")
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise UserError(f"{path}: line {line}: has {len(row)} columns, expected {len(header)}")
    subjects = as_subjects([row[header.index("subject")] for row in rows[1:]])
    return [
        _entry(path, line, dict(zip(header, row, strict=True)), subject)
        for line, (row, subject) in enumerate(zip(rows[1:], subjects, strict=True), 2)
    ]


def as_subjects(texts: Sequence[str]) -> Sequence[int | str]:
    """All subjects of a data set as numbers, 0 for an empty field, or as texts where one is no number of a store."""
    numbers = [int(text or 0) if re.fullmatch(r"\d{0,8}", text, re.ASCII) else -1 for text in texts]
    if all(0 <= number <= MOST for number in numbers):
        return numbers
    return list(texts)


def _column(name: str) -> str:
    """How a column of the user's table is named in an index."""
    return f"{name}_" if name.rstrip("_") in COLUMNS else name


def _table_column(name: str) -> str:
    """The reverse of `_column`."""
    return name[:-1] if name.endswith("_") and name.rstrip("_") in COLUMNS else name


def _entry(path: str | Path, line: int, values: dict[str, str], subject: int | str) -> ClipEntry:
    try:
        numbers = {column: int(values[column]) for column in NUMBERS}
        frames = int(values["frames"]) if values["frames"] else None
    except ValueError as error:
        raise UserError(f"{path}: line {line}: {one_line(str(error), 120)}") from None
    for column, number in numbers.items():
        if not 0 <= number <= MOST:
            raise UserError(f"{path}: line {line}: {column} {shown(number)} is no number from 0 to {MOST}")
    if values["split"] not in SPLITS:
        raise UserError(
            f"{path}: line {line}: split is {shown(values['split'])}, must be train, test or empty"
        )
    for column in PATHS:
        if leads_out(values[column]):
            raise UserError(
                f"{path}: line {line}: {column} {shown(values[column])} leads out of the data folder"
            )
    paths = {column: os.fsdecode(values[column].encode(**ENCODING)) for column in PATHS}
    extra = tuple(
        (_table_column(key), value) for key, value in values.items() if key not in COLUMNS and value
    )
    stated = {key: value for key, value in values.items() if key in COLUMNS}
    merged: dict[str, Any] = {**stated, **numbers, **paths, "frames": frames, "subject": subject}
    return ClipEntry(**merged, extra=extra)
