"""Data sets: one reader per data set, all giving the same clips. Light to import."""

from importlib import import_module
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import ClipEntry, Reader
from mmcl.errors import UserError

__all__ = ["READERS", "ClipEntry", "Reader", "clips_table", "open_reader", "require_folder"]

READERS = {
    "ntu": "mmcl.datasets.ntu:NtuReader",
    "nw_ucla": "mmcl.datasets.nw_ucla:NwUclaReader",
    "sysu": "mmcl.datasets.sysu:SysuReader",
    "own": "mmcl.datasets.own:OwnReader",
    "utd_mhad": "mmcl.datasets.utd_mhad:UtdMhadReader",
    "ctr_npz": "mmcl.exchange.npz:CtrNpzReader",
    "pyskl": "mmcl.exchange.pyskl:PysklReader",
    "crosclr": "mmcl.exchange.crosclr:CrosclrReader",
}
"""Name in config.yaml → module and class."""

LISTED = ("own",)
"""Readers that know their clips from a list, and so do without a folder of skeletons where there are videos."""


def reader_class(name: str) -> type[Reader]:
    """The class of a reader.

    Raises:
        UserError: there is no such reader.
    """
    if name not in READERS:
        raise UserError(f"reader: no reader {name!r}; there are: {', '.join(sorted(READERS))}")
    module, _, attribute = READERS[name].partition(":")
    return getattr(import_module(module), attribute)


def reads_file(reader: type[Reader]) -> bool:
    """Whether the skeletons that a reader takes are one file rather than a folder."""
    return getattr(reader, "reads_file", False)


def require_folder(dataset: dict[str, Any], kind: str) -> None:
    """Check that a data set's folder (or file, see `reads_file`) of `skeletons` or `videos` is given and there.

    Raises:
        UserError: says which folder was looked for and what belongs into it.
    """
    reader = reader_class(dataset["reader"])
    if not dataset.get(kind):
        raise UserError(f"{kind}: no folder is given. {reader.what_belongs}")
    if kind == "skeletons" and reads_file(reader):
        if not Path(dataset[kind]).is_file():
            raise UserError(f"{kind}: no file {dataset[kind]}. {reader.what_belongs}")
    elif not Path(dataset[kind]).is_dir():
        raise UserError(f"{kind}: no folder {dataset[kind]}. {reader.what_belongs}")


def clips_table(dataset: dict[str, Any]) -> Path | None:
    """The table that says what a data set's clips are, where its reader takes one and its folder is given."""
    folder = dataset.get("skeletons") or dataset.get("videos")
    if dataset["reader"] not in LISTED or not folder:
        return None
    return Path(folder, (dataset.get("options") or {}).get("clips", "clips.csv"))


def open_reader(dataset: dict[str, Any]) -> Reader:
    """The reader of a data set.

    Args:
        dataset: its settings: `reader`, `skeletons`, and where present `videos` and `options`; where a pose estimator
            makes the skeletons, their stores as `pose_stores`, and `joint_confidence`.

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
    if dataset.get("skeletons") or not (name in LISTED and dataset.get("videos")):
        require_folder(dataset, "skeletons")
    if dataset.get("videos"):
        require_folder(dataset, "videos")
    skeletons, videos = (
        Path(dataset[kind]) if dataset.get(kind) else None for kind in ("skeletons", "videos")
    )
    opened = reader(skeletons, videos, reader.defaults | options)
    if not dataset.get("pose_stores"):
        return opened
    from mmcl.datasets.posed import PosedReader

    return PosedReader(opened, dataset["pose_stores"], dataset["joint_confidence"])
