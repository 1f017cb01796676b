"""What `mmcl inspect --json` prints: a store, sealed or in progress, as values of JSON."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mmcl.errors import UserError
from mmcl.store import batch_files, damage_named, open_any, read_plan

HEADER = ("schema", "complete", "settings")


def inspected(path: str | Path, rows: int = 3) -> dict[str, Any]:
    """Describe a store.

    Args:
        path: a sealed store (`….h5`) or one in progress (`….h5.part`).
        rows: how many clips to show.

    Returns:
        path, schema, complete, settings, and of a store that is not in progress: attributes, clips (how many), failed
        [{name, reason}], arrays [{name, shape, type, attributes}], rows [{name, array: value}], in which an array of
        numbers of more than 64 is its shape, and bytes are their number; in progress: batches, batches_done, clips.

    Raises:
        UserError: no such file, or it is no store.
    """
    path = Path(path)
    part = path if path.is_dir() else Path(f"{path}.part")
    if part.is_dir() and (path.is_dir() or not path.exists()):
        return _in_progress(part)
    with open_any(path) as file, damage_named(path):
        attributes = {key: _plain(value) for key, value in file.attrs.items()}
        failed = zip(file["failed/names"].asstr()[:], file["failed/reason"].asstr()[:], strict=True)
        return {
            "path": str(path),
            "schema": attributes["schema"],
            "complete": bool(attributes.get("complete", False)),
            "settings": json.loads(attributes.get("settings", "{}")),
            "attributes": {key: value for key, value in attributes.items() if key not in HEADER},
            "clips": len(file["names"]),
            "failed": [{"name": name, "reason": reason} for name, reason in failed],
            "arrays": _arrays(file),
            "rows": [_row(file, row) for row in range(min(rows, len(file["names"])))],
        }


def _in_progress(part: Path) -> dict[str, Any]:
    plan = read_plan(part)
    if plan is None:
        raise UserError(f"{part}: a folder, but not a store in progress (no readable plan.json)")
    return {
        "path": str(part),
        "schema": plan["schema"],
        "complete": False,
        "settings": plan["settings"],
        "batches": plan["batches"],
        "batches_done": len(batch_files(part)),
        "clips": plan["clips"],
    }


def _arrays(file: h5py.File) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            own = {key: _plain(value) for key, value in item.attrs.items()}
            found.append({"name": name, "shape": list(item.shape), "type": _type(item), "attributes": own})

    file.visititems(add)
    return found


def _type(dataset: h5py.Dataset) -> str:
    if h5py.check_string_dtype(dataset.dtype):
        return "text"
    return "bytes" if h5py.check_vlen_dtype(dataset.dtype) else str(dataset.dtype)


def _row(file: h5py.File, row: int) -> dict[str, Any]:
    """The arrays that have a row for each clip."""
    found: dict[str, Any] = {"name": file["names"].asstr()[row]}
    for key, item in file.items():
        # arrays with another first axis (joints of all clips, class tables) have none
        if (
            isinstance(item, h5py.Dataset)
            and key not in ("names", "confusion")
            and len(item) == len(file["names"])
        ):
            found[key] = _value(item, row)
    return found


def _value(dataset: h5py.Dataset, row: int) -> Any:
    value = dataset[row]
    if h5py.check_vlen_dtype(dataset.dtype) and not h5py.check_string_dtype(dataset.dtype):
        sizes = [len(item) for item in value] if dataset.ndim > 1 else len(value)
        return {"bytes": sizes}
    return {"shape": list(value.shape)} if np.size(value) > 64 else _plain(value)


def _plain(value: Any) -> Any:
    """An attribute or a value of h5py's."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.tolist() if hasattr(value, "tolist") else value
