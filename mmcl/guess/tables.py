"""A table that lies beside the clips: which of its columns names them, and what the others hold."""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mmcl.guess.finding import Finding
from mmcl.guess.labels import SIDES, Told
from mmcl.guess.survey import first_rows

COVERED = 0.8
"""Part of the clips that a table of them must name."""
MOST_ROWS = 1_000_000
NAMED = {
    "label": "label class action activity category gesture exercise target verb movement motion class_name",
    "subject": "subject person participant performer actor user player patient subject_id person_id pid subj",
    "camera": "camera cam view",
    "setup": "setup session scene environment room",
    "split": "split subset partition fold set phase",
}
"""Our column → names that users give it."""


def read_tables(folder: Path, tables: Sequence[str], clips: Sequence[str]) -> Told:
    """What the first table tells that names most clips; nothing if there is none.

    Args:
        folder: of the recordings.
        tables: files in it that may be one: delimited text with a first line of names, or a JSON object.
        clips: the clips' paths.
    """
    for table in sorted(tables, key=lambda path: (len(PurePosixPath(path).parts), path)):
        head, rows = _read(folder / table)
        found = _matched(head, rows, clips)
        if found:
            return _told(table, head, *found, clips)
    return Told()


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if path.suffix.lower() == ".json":
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return [], []
        if not isinstance(data, dict):
            return [], []
        stated = {k: v if isinstance(v, dict) else {"label": v} for k, v in data.items()}
        head = list(dict.fromkeys(key for one in stated.values() for key in one))
        return ["name", *head], [[k, *(str(one.get(key, "")) for key in head)] for k, one in stated.items()]
    rows = first_rows(path, MOST_ROWS)
    if len(rows) < 2:
        return [], []
    width = len(rows[0])
    return [name.lower() for name in rows[0]], [row for row in rows[1:] if len(row) == width]


def _matched(
    head: list[str], rows: list[list[str]], clips: Sequence[str]
) -> tuple[int, dict[str, list[str]]] | None:
    """The column that names the clips, and its row for each clip's path."""
    keys = {form: clip for clip in reversed(clips) for form in _forms(clip)}
    for column in range(len(head)):
        found = {keys[form]: row for row in rows if (form := _key(row[column])) in keys}
        if len(found) >= COVERED * len(clips) or (len(found) >= 2 and len(found) >= COVERED * len(rows)):
            return column, found
    return None


def _key(text: str) -> str:
    path = PurePosixPath(text.replace("\\", "/").lower())
    return str(path.with_suffix("")) if re.fullmatch(r"\.[a-z0-9]{2,8}", path.suffix) else str(path)


def _forms(clip: str) -> list[str]:
    """How a table may call a clip: its path or any end of it, without the ending."""
    parts = PurePosixPath(_key(clip)).parts
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _told(
    table: str, head: list[str], column: int, found: dict[str, list[str]], clips: Sequence[str]
) -> Told:
    told = Told(table=table)
    texts = {
        name: [found[clip][i] if clip in found else "" for clip in clips]
        for i, name in enumerate(head)
        if i != column and name
    }
    ours = {}
    for role, known in NAMED.items():
        named = [name for name in texts if re.sub(r"[ \-]", "_", name) in known.split()]
        if named:
            ours[named[0]] = role
    if "label" not in ours.values():
        guessed = [name for name in texts if name not in ours and _groups(texts[name])]
        if guessed:
            ours[guessed[0]] = "label"
    for name, values in texts.items():
        role = ours.get(name, "")
        if role == "split":
            sides = [SIDES.get(value.lower(), "") for value in values]
            role = "split" if any(sides) else ""
            values = sides if role else values
        if role in ("camera", "setup"):
            order = {value: str(i) for i, value in enumerate(sorted({*values} - {""}), 1)}
            counted = all(value.isdecimal() for value in values if value)
            values = values if counted else [order.get(value, "") for value in values]
        told.columns[role or name] = values
        if role:
            distinct = sorted({*values} - {""})
            some = ", ".join(distinct[:4]) + (", …" if len(distinct) > 4 else "")
            check = "" if name.lower() in NAMED[role].split() else f"the column {name} is taken as the {role}"
            told.findings.append(Finding(role, f"{len(distinct)} ({some})", f"{table}, column {name}", check))
    further = [name for name in texts if name not in ours]
    if further:
        told.findings.append(Finding("further columns", ", ".join(further), f"{table}; they are kept"))
    missing = len(clips) - len(found)
    if missing:
        told.findings.append(
            Finding("not in the table", str(missing), f"{table} does not name them", "they have no label")
        )
    return told


def _groups(values: list[str]) -> bool:
    """Whether a column of words names groups of clips."""
    distinct = {*values} - {""}
    words = all(re.search(r"[^\W\d]", value) for value in distinct)
    return words and 1 < len(distinct) <= max(2, len(values) // 2)
