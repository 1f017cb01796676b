"""The index of a data set: a TSV file with one clip per line."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import MOST, ClipEntry
from mmcl.datasets.files import leads_out
from mmcl.errors import UserError, one_line, shown
from mmcl.files import written

COLUMNS = tuple(field.name for field in dataclasses.fields(ClipEntry))
NUMBERS = ("subject", "camera", "setup")
PATHS = ("skeleton", "video")
SPLITS = ("train", "test", "")
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


def write_index(path: str | Path, entries: Iterable[ClipEntry]) -> None:
    """Write clips in the order given; `frames` is empty where unknown. Appears whole or not at all.

    Paths are kept as they are, in whatever encoding the file system has them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as temporary, open(temporary, "w", newline="", **ENCODING) as file:
        writer, quoting = (
            csv.writer(file, delimiter="\t", lineterminator="\n", quoting=how)
            for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        writer.writerow(COLUMNS)
        for entry in entries:
            fields = [getattr(entry, column) for column in COLUMNS]  # None is written as nothing
            # the writer quotes for its own line ends alone, the reader takes a carriage return for one too
            (quoting if "\r" in entry.skeleton + entry.video else writer).writerow(fields)


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
    if sorted(header) != sorted(COLUMNS):
        raise UserError(f"{path}: not an index; its first line must be the columns {' '.join(COLUMNS)}")
    return [_entry(path, line, header, row) for line, row in enumerate(rows[1:], 2)]


def _entry(path: str | Path, line: int, header: list[str], row: list[str]) -> ClipEntry:
    if len(row) != len(header):
        raise UserError(f"{path}: line {line}: has {len(row)} columns, expected {len(header)}")
    values = dict(zip(header, row, strict=True))
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
    merged: dict[str, Any] = {**values, **numbers, "frames": frames}
    return ClipEntry(**merged)
