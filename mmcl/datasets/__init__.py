"""Data sets: one reader per data set, all giving the same clips. Light to import."""

from importlib import import_module
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import ClipEntry, Reader
from mmcl.errors import UserError

__all__ = ["READERS", "ClipEntry", "Reader", "open_reader", "require_folder"]

READERS = {
    "ntu": "mmcl.datasets.ntu:NtuReader",
    "utd_mhad": "mmcl.datasets.utd_mhad:UtdMhadReader",
}
"""Name in config.yaml → module and class."""

ANNOUNCED = ("nw_ucla", "sysu")
"""Readers that config.yaml names already and that do not exist yet; opening one says so."""


def reader_class(name: str) -> type[Reader]:
    """The class of a reader.

    Raises:
        UserError: there is no such reader.
    """
    if name in ANNOUNCED:
        raise UserError(f"reader: there is no reader {name!r} yet; there are: {', '.join(sorted(READERS))}")
    if name not in READERS:
        raise UserError(f"reader: no reader {name!r}; there are: {', '.join(sorted(READERS))}")
    module, _, attribute = READERS[name].partition(":")
    return getattr(import_module(module), attribute)


def require_folder(dataset: dict[str, Any], kind: str) -> None:
    """Check that a data set's folder of `skeletons` or `videos` is given and there.

    Raises:
        UserError: says which folder was looked for and what belongs into it.
    """
    reader = reader_class(dataset["reader"])
    if not dataset.get(kind):
        raise UserError(f"{kind}: no folder is given. {reader.what_belongs}")
    if not Path(dataset[kind]).is_dir():
        raise UserError(f"{kind}: no folder {dataset[kind]}. {reader.what_belongs}")


def open_reader(dataset: dict[str, Any]) -> Reader:
    """The reader of a data set.

    Args:
        dataset: its settings: `reader`, `skeletons`, and where present `videos` and `options`.

    Raises:
        UserError: an unknown reader or option, or a folder that is not there; says what belongs into it.
    """
    name = dataset["reader"]
    reader = reader_class(name)
    options = dataset.get("options") or {}
    unknown = sorted(set(options) - set(reader.defaults))
    if unknown:
        allowed = ", ".join(sorted(reader.defaults)) or "none"
        raise UserError(
            f"options: {unknown[0]} is not an option of the reader {name}; its options: {allowed}"
        )
    require_folder(dataset, "skeletons")
    if dataset.get("videos"):
        require_folder(dataset, "videos")
    videos = Path(dataset["videos"]) if dataset.get("videos") else None
    return reader(Path(dataset["skeletons"]), videos, reader.defaults | options)
