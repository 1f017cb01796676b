"""The index of a data set: a TSV file with one clip per line."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import leads_out
from mmcl.errors import UserError
from mmcl.files import written

COLUMNS = tuple(field.name for field in dataclasses.fields(ClipEntry))
NUMBERS = ("subject", "camera", "setup")
PATHS = ("skeleton", "video")
SPLITS = ("train", "test", "")


def write_index(path: str | Path, entries: Iterable[ClipEntry]) -> None:
    """Write clips in the order given; `frames` is empty where unknown. Appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in entries:
            writer.writerow(getattr(entry, column) for column in COLUMNS)  # None is written as nothing


def read_index(path: str | Path) -> list[ClipEntry]:
    """Read clips written by `write_index`.

    Raises:
        UserError: no such file, other columns, or a row that cannot be read; names file and line.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
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
        raise UserError(f"{path}: line {line}: {error}") from None
    if values["split"] not in SPLITS:
        raise UserError(f"{path}: line {line}: split is {values['split']!r}, must be train, test or empty")
    for column in PATHS:
        if leads_out(values[column]):
            raise UserError(f"{path}: line {line}: {column} {values[column]!r} leads out of the data folder")
    merged: dict[str, Any] = {**values, **numbers, "frames": frames}
    return ClipEntry(**merged)
