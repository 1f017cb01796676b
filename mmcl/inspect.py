"""What `mmcl inspect` prints: a store, sealed or in progress, as text."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mmcl.errors import UserError
from mmcl.store import batch_files, open_any, read_plan


def inspect(path: str | Path, rows: int = 3) -> str:
    """Describe a store: schema, completeness, settings, arrays, failed clips with reasons, a few rows.

    Args:
        path: a sealed store (`….h5`) or one in progress (`….h5.part`).
        rows: how many clips to show.

    Raises:
        UserError: no such file, or it is no store.
    """
    path = Path(path)
    if path.is_dir():
        return _in_progress(path)
    part = Path(f"{path}.part")
    if not path.exists() and part.is_dir():
        return _in_progress(part)
    with open_any(path) as file:
        lines = [*_header(path, file), *_arrays(file), *_failures(file), *_rows(file, rows)]
        return _printable("\n".join(lines))


def _printable(text: str) -> str:
    """Text without what would control a terminal."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


def _in_progress(part: Path) -> str:
    plan = read_plan(part)
    if plan is None:
        raise UserError(f"{part}: a folder, but not a store in progress (no readable plan.json)")
    done = len(batch_files(part))
    return "\n".join(
        [
            str(part),
            f"  schema       {plan['schema']}",
            f"  in progress  {done} of {plan['batches']} batches kept, {plan['clips']} clips planned",
            f"  settings     {_indented(plan['settings'])}",
        ]
    )


def _header(path: Path, file: h5py.File) -> list[str]:
    attributes = dict(file.attrs)
    lines = [str(path), f"  schema       {attributes.pop('schema')}"]
    lines.append(f"  complete     {'yes' if attributes.pop('complete', False) else 'NO'}")
    lines.append(f"  clips        {len(file['names'])}, and {len(file['failed/names'])} failed")
    settings = json.loads(attributes.pop("settings", "{}"))
    lines += [f"  {key:<12} {value}" for key, value in attributes.items()]
    return [*lines, f"  settings     {_indented(settings)}"]


def _indented(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False).replace("\n", "\n               ")


def _arrays(file: h5py.File) -> list[str]:
    found: list[str] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(f"  {name:<28} {'×'.join(map(str, item.shape)):<16} {_type(item)}")

    file.visititems(add)
    return ["arrays", *found]


def _type(dataset: h5py.Dataset) -> str:
    if h5py.check_string_dtype(dataset.dtype):
        return "text"
    return "bytes" if h5py.check_vlen_dtype(dataset.dtype) else str(dataset.dtype)


def _failures(file: h5py.File) -> list[str]:
    names = file["failed/names"].asstr()[:]
    reasons = file["failed/reason"].asstr()[:]
    if not len(names):
        return []
    lines = [f"failed clips ({len(names)})"]
    lines += [f"  {name}: {reason}" for name, reason in zip(names[:20], reasons[:20], strict=True)]
    if len(names) > 20:
        counts = Counter(reasons).most_common(10)
        lines += [
            f"  … and {len(names) - 20} more; by reason:",
            *(f"  {count:>6} × {why}" for why, count in counts),
        ]
    return lines


def _rows(file: h5py.File, count: int) -> list[str]:
    names = file["names"].asstr()[:count]
    lines = ["first clips"] if len(names) else []
    for row, name in enumerate(names):
        lines.append(f"  {name}")
        if file.attrs["schema"] == "mmcl.answers/1":
            lines += _answer(file, row)
            continue
        for key, item in file.items():
            # arrays with another first axis (joints of all clips, class tables) have no row for a clip
            own = key not in ("names", "confusion") and len(item) == len(file["names"])
            if isinstance(item, h5py.Dataset) and own:
                lines.append(f"    {key:<10} {_value(item, row)}")
    return lines


def _answer(file: h5py.File, row: int) -> list[str]:
    p_yes = float(file["p_yes"][row])
    states = "×".join(map(str, file["states"].shape[1:]))
    return [
        f"    Q: {file.attrs.get('question', 'is not stated')}",
        f"    A: {file['text'].asstr()[row]}" + ("" if np.isnan(p_yes) else f"   (p_yes {p_yes:.3f})"),
        f"       tokens {file['ids'][row].tolist()}, states {states}",
    ]


def _value(dataset: h5py.Dataset, row: int) -> str:
    value = dataset[row]
    if h5py.check_vlen_dtype(dataset.dtype):
        sizes = [len(item) for item in np.atleast_1d(value)] if dataset.ndim > 1 else [len(value)]
        return f"{' '.join(map(str, sizes))} bytes"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if np.ndim(value) == 0:
        return str(value)
    flat = np.asarray(value).ravel()
    return " ".join(f"{number:.4g}" for number in flat[:8]) + (" …" if len(flat) > 8 else "")
