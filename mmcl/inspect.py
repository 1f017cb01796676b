"""What `mmcl inspect` tells: a store, sealed or in progress, as values of JSON and as text."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mmcl.errors import UserError, one_line
from mmcl.schemas import arrays_of, content_of, description_of, settings_of, type_of
from mmcl.settings.merging import flat
from mmcl.store import batch_files, damage_named, open_any, read_plan

WIDTH = 80
"""Columns of the text."""
MOST = 20
"""Classes, and failed clips, that the text names."""
FREQUENT = 5
"""Texts that are named of an array of texts, the most frequent ones."""
NUMBERS = 3
"""Numbers that are shown of one clip's row."""
LONGEST, CELL = 60, 2000
"""Characters that are shown of a clip's text, and of anything."""


def inspect(path: str | Path, rows: int = 3, width: int = WIDTH) -> str:
    """Describe a store as text, see `examine`.

    Args:
        path: a sealed store (`….h5`) or one in progress (`….h5.part`).
        rows: how many clips to show.
        width: columns of the terminal.

    Raises:
        UserError: no such file, or it is no store.
    """
    found = examine(path, rows)
    if "in_progress" in found:
        return "\n".join([one_line(found["path"]), *_facts(found, width)])
    return _as_text(found, width)


def examine(path: str | Path, rows: int = 3) -> dict[str, Any]:
    """Describe a store: schema, completeness, settings, arrays, classes, texts, failed clips, a few clips.

    Args:
        path: a sealed store (`….h5`) or one in progress (`….h5.part`).
        rows: how many clips to show.

    Returns:
        Values of JSON. `arrays`: path → shape, type, description, unit, axes. `classes`: label, id, name and number of
        clips of each. `texts`: path → different texts, shortest and longest in characters, the most frequent ones.
        `failed`: clip → reason. `clips`: of the first ones, array → what it holds of them.

    Raises:
        UserError: no such file, or it is no store.
    """
    path = Path(path)
    part = path if path.is_dir() else Path(f"{path}.part")
    if path.is_dir() or (not path.exists() and part.is_dir()):
        return _in_progress(part)
    with open_any(path) as file, damage_named(path):
        attributes = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()
        }
        names = file["failed/names"].asstr()[:].tolist()
        reasons = file["failed/reason"].asstr()[:].tolist()
        return {
            "path": str(path),
            "schema": attributes.pop("schema"),
            "description": content_of(file),
            "complete": bool(attributes.pop("complete", False)),
            "rows": len(file["names"]),
            "settings": settings_of(file),
            "attributes": {
                key: value for key, value in attributes.items() if key not in ("settings", "description")
            },
            "arrays": {name: _array(file, name) for name in arrays_of(file)},
            "classes": _classes(file),
            "texts": {name: _texts(file[name].asstr()[:].tolist()) for name in _texts_of_clips(file)},
            "failed": dict(zip(names, reasons, strict=True)),
            "clips": _clips(file, rows),
        }


def _in_progress(part: Path) -> dict[str, Any]:
    plan = read_plan(part)
    if plan is None:
        raise UserError(f"{part}: a folder, but not a store in progress (no readable plan.json)")
    kept = f"{len(batch_files(part))} of {plan['batches']} batches kept, {plan['clips']} clips planned"
    return {
        "path": str(part),
        "schema": plan["schema"],
        "in_progress": kept,
        "settings": plan["settings"],
    }


# ------------------------------------------------------------------------------------------------ what is told


def _array(file: h5py.File, name: str) -> dict[str, Any]:
    said = description_of(file, name)
    return {
        "shape": [*file[name].shape],
        "type": type_of(file[name]),
        **(said._asdict() if said else {"description": "", "unit": "", "axes": ""}),
    }


def _of_clips(file: h5py.File) -> list[str]:
    """Arrays with a row for each clip: those of another length, such as joints of all clips, have none."""
    flat = ("names", "confusion")
    return [
        key
        for key, item in file.items()
        if isinstance(item, h5py.Dataset) and key not in flat and len(item) == len(file["names"])
    ]


def _texts_of_clips(file: h5py.File) -> list[str]:
    return ["names", *(key for key in _of_clips(file) if type_of(file[key]) == "text")]


def _texts(texts: Sequence[str]) -> dict[str, Any]:
    counts = Counter(texts)
    sizes = [len(text) for text in counts] or [0]
    return {
        "different": len(counts),
        "characters": [min(sizes), max(sizes)],
        "frequent": dict(counts.most_common(FREQUENT)) if len(counts) < len(texts) else {},
    }


def _classes(file: h5py.File) -> list[dict[str, Any]]:
    if "classes/id" not in file:
        return []
    ids, names = (file[f"classes/{key}"].asstr()[:].tolist() for key in ("id", "name"))
    clips = (
        np.bincount(file["labels"][:], minlength=len(ids)).tolist() if "labels" in file else [None] * len(ids)
    )
    return [
        {"label": label, "id": key, "name": name, "clips": count}
        for label, (key, name, count) in enumerate(zip(ids, names, clips, strict=True))
    ]


def _clips(file: h5py.File, count: int) -> list[dict[str, Any]]:
    # where a clip lies in a flat array tells nobody anything
    shown = [key for key in _of_clips(file) if key != "offset"]
    names = file["names"].asstr()[:count].tolist()
    return [
        {"names": name} | {key: _value(file[key], row) for key in shown} for row, name in enumerate(names)
    ]


def _value(dataset: h5py.Dataset, row: int) -> Any:
    """What an array holds of a clip: a value, a few numbers, or the sizes of bytes."""
    value = dataset[row]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if type_of(dataset) == "bytes":
        return {"bytes": [len(item) for item in value] if dataset.ndim > 1 else [len(value)]}
    array = np.asarray(value)
    # JSON has no NaN
    first = [None if number != number else number for number in array.ravel()[:8].tolist()]
    return {"shape": [*array.shape], "first": first} if array.ndim else first[0]


# -------------------------------------------------------------------------------------------------- as text


def _as_text(found: dict[str, Any], width: int) -> str:
    arrays = found["arrays"]
    lines = [one_line(found["path"]), *_facts(found, width)]
    lines += _table(
        "arrays",
        ("array", "shape", "type", "unit", "axes"),
        ((name, _size(one["shape"]), one["type"], one["unit"], one["axes"]) for name, one in arrays.items()),
        width,
    )
    lines += _table(
        "what they hold",
        ("array", "content"),
        ((name, one["description"]) for name, one in arrays.items() if one["description"]),
        width,
    )
    lines += _classes_text(found["classes"], width)
    lines += _table(
        "texts",
        ("array", "different", "characters", "most frequent"),
        (
            (name, str(one["different"]), _range(*one["characters"]), _frequent(one["frequent"]))
            for name, one in found["texts"].items()
        ),
        width,
    )
    return "\n".join([*lines, *_failures(found["failed"], width), *_first(found, width)])


def _facts(found: dict[str, Any], width: int) -> list[str]:
    facts = {"schema": found["schema"]}
    if "in_progress" in found:
        facts["in progress"] = found["in_progress"]
    else:
        facts["holds"] = found["description"]
        facts["complete"] = "yes" if found["complete"] else "NO"
        facts["clips"] = f"{found['rows']}, and {len(found['failed'])} failed"
    facts |= found.get("attributes", {})
    stated = flat(found["settings"])
    settings = [(key, json.dumps(value, ensure_ascii=False)) for key, value in stated.items()]
    rows = [(key, str(value)) for key, value in facts.items() if value != ""]
    return _table("", (), rows, width) + _table("settings", (), settings, width)


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _classes_text(classes: list[dict[str, Any]], width: int) -> list[str]:
    rows = [tuple("" if value is None else str(value) for value in one.values()) for one in classes[:MOST]]
    lines = _table("classes", ("label", "id", "name", "clips"), rows, width)
    return [*lines, *_more(len(classes))]


def _more(count: int) -> list[str]:
    return [f"  … and {count - MOST} more; --json gives all"] if count > MOST else []


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _frequent(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} × {one_line(text, LONGEST)!r}" for text, count in counts.items())


def _failures(failed: dict[str, str], width: int) -> list[str]:
    lines = _table(f"failed clips ({len(failed)})", (), list(failed.items())[:MOST], width)
    if len(failed) > MOST:
        reasons = Counter(failed.values()).most_common(10)
        lines += [*_more(len(failed)), *_table("by reason", (), [(str(n), why) for why, n in reasons], width)]
    return lines


def _first(found: dict[str, Any], width: int) -> list[str]:
    """The first clips, without columns that are empty in all of them."""
    clips, names = found["clips"], {one["label"]: one for one in found["classes"]}
    shown = [key for key in dict.fromkeys(["names", *_keys(clips)]) if any(clip[key] != "" for clip in clips)]
    rows = [[_cell(key, clip[key], names) for key in shown] for clip in clips]
    return _table("first clips", shown, rows, width)


def _keys(clips: list[dict[str, Any]]) -> list[str]:
    """Their arrays, the class first."""
    return sorted(clips[0], key=lambda key: key != "labels") if clips else []


def _cell(key: str, value: Any, classes: dict[int, dict[str, Any]]) -> str:
    if key == "labels" and value in classes:
        return "{label} {id} {name}".format_map(classes[value])
    if isinstance(value, dict) and "bytes" in value:
        return f"{' '.join(map(str, value['bytes']))} bytes"
    if isinstance(value, dict):
        more = " …" if np.prod(value["shape"]) > NUMBERS else ""
        return " ".join(map(_number, value["first"][:NUMBERS])) + more
    return one_line(value, LONGEST) if isinstance(value, str) else _number(value)


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.4g}"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """A table as lines, its title above; nothing without rows. What is wider than the terminal is wrapped.

    Args:
        title, columns, rows: of the table; without columns it has no head.
        width: of the terminal.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[one_line(cell, CELL) for cell in row] for row in rows]
    if not cells:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(columns), header_style="")
    for number, (column, *_) in enumerate(zip(columns or cells[0], *cells, strict=True)):
        first = max(len(row[number]) for row in cells) if not number else width
        table.add_column(column, overflow="fold", no_wrap=first <= width // 3)
    for row in cells:
        table.add_row(*map(Text, row))
    output = io.StringIO()
    Console(file=output, width=width - 2, color_system=None, legacy_windows=False).print(table)
    return [*filter(None, [title]), *(f"  {line.rstrip()}" for line in output.getvalue().splitlines())]
