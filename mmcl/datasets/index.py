"""The index of a data set: a TSV file with one clip a line."""

import csv
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import ClipEntry
from mmcl.errors import UserError

COLUMNS = tuple(field.name for field in dataclasses.fields(ClipEntry))
NUMBERS = ("subject", "camera", "setup")


def write_index(path: str | Path, entries: Iterable[ClipEntry]) -> None:
    """Write clips in the order given; `frames` is empty where unknown. Appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in entries:
            row = dataclasses.asdict(entry)
            writer.writerow("" if row[column] is None else row[column] for column in COLUMNS)
    os.replace(temporary, path)


def read_index(path: str | Path) -> list[ClipEntry]:
    """Read clips written by `write_index`.

    Raises:
        UserError: no such file, other columns, or a row that cannot be read; names file and line.
    """
    try:
        with open(path, newline="") as file:
            rows = list(csv.reader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as an index ({error})") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path}: not an index; its first line must be the columns {' '.join(COLUMNS)}")
    return [_entry(path, line, row) for line, row in enumerate(rows[1:], 2)]


def _entry(path: str | Path, line: int, row: list[str]) -> ClipEntry:
    if len(row) != len(COLUMNS):
        raise UserError(f"{path}: line {line}: has {len(row)} columns, expected {len(COLUMNS)}")
    values = dict(zip(COLUMNS, row, strict=True))
    try:
        numbers = {column: int(values[column]) for column in NUMBERS}
        frames = int(values["frames"]) if values["frames"] else None
    except ValueError as error:
        raise UserError(f"{path}: line {line}: {error}") from None
    merged: dict[str, Any] = {**values, **numbers, "frames": frames}
    return ClipEntry(**merged)
