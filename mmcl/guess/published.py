"""Data sets that mmcl has a reader of its own for, and other tools' files."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import h5py

from mmcl.datasets import open_reader, reader_settings
from mmcl.datasets.clip import ClipEntry, Reader
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.ntu import NAME as NTU_NAME
from mmcl.datasets.ntu import parse_name
from mmcl.datasets.prepare import SCHEMA
from mmcl.errors import UserError
from mmcl.exchange.arrays import open_npz
from mmcl.exchange.convert import convert
from mmcl.guess.finding import Finding
from mmcl.guess.survey import Survey
from mmcl.layouts import names

FILE_NAMES = {
    "ntu": re.compile(NTU_NAME.pattern + r"\.skeleton", re.IGNORECASE),
    "utd_mhad": re.compile(r"a\d+_s\d+_t\d+_skeleton\.mat", re.IGNORECASE),
    "nw_ucla": re.compile(r"a\d+_s\d+_e\d+_v\d+\.json", re.IGNORECASE),
    "sysu": re.compile(r"sklworld\.mat|a\d\d_s\d\d\.txt", re.IGNORECASE),
}
"""Reader → names of its skeleton files."""
PROTOCOLS = {
    "ntu": ("ntu60_xsub", "ntu120_xsub"),
    "utd_mhad": ("odd_subjects",),
    "nw_ucla": ("nw_ucla",),
    "sysu": ("sysu_setting2",),
}
"""Reader → published protocols, the first that has clips on both sides is taken."""
ENOUGH = 0.8
"""Part of the files that must have such names."""
TRIED = 3


class Published(NamedTuple):
    """Recordings that a reader lists by itself.

    Attributes:
        reader, options: of them.
        skeletons: folder, or file.
        entries: the clips.
        protocols: that may split them.
        findings: why.
        file: the only file of the folder that is read; "" if all are.
    """

    reader: str
    options: dict[str, Any]
    skeletons: Path
    entries: list[ClipEntry]
    protocols: tuple[str, ...]
    findings: list[Finding]
    file: str = ""


def recognise(found: Survey, rewritten: Path) -> Published | None:
    """A published data set in a folder, or the one file of another tool; None for anything else.

    Args:
        found: the folder's files.
        rewritten: see `open_exchange`.
    """
    for reader, pattern in FILE_NAMES.items():
        named = [path for path in found.skeletons if pattern.fullmatch(PurePosixPath(path).name)]
        if named and len(named) >= ENOUGH * len(found.skeletons):
            why = (
                f"{len(named)} of {len(found.skeletons)} files are named like {PurePosixPath(named[0]).name}"
            )
            options: dict[str, Any] = {}
            if reader == "ntu":
                numbers = [parts for path in named if (parts := parse_name(PurePosixPath(path).stem.upper()))]
                if all(parts.action <= 60 for parts in numbers):
                    options["max_action"] = 60
            if reader == "utd_mhad" and found.videos and all("_depth." in path for path in found.videos):
                options["modality"] = "depth"
            try:
                return open_published(reader, options, found.folder, found.videos, why)
            except UserError:
                continue
    packed = found.packed if len(found.skeletons) <= len(found.packed) else []
    files = [*packed, *(path for path in found.skeletons if path.lower().endswith(".npz"))]
    for path in files[:TRIED]:
        if exchange := exchange_reader(found.folder / path):
            return open_exchange(exchange, found.folder / path, rewritten)._replace(file=path)
    labels = [
        path
        for path in found.packed
        if PurePosixPath(path).name.lower() in ("train_label.pkl", "val_label.pkl")
    ]
    if labels:
        return _open_crosclr((found.folder / labels[0]).parent)
    return None


def _open_crosclr(folder: Path) -> Published:
    """A folder of another tool's arrays, with the first layout that has as many joints."""
    faults = []
    for layout in ("", *names()):
        options = {"layout": layout} if layout else {}
        try:
            return open_published("crosclr", options, folder, [], "it holds …_label.pkl")
        except UserError as error:
            faults.append(error)
    raise faults[0]


def exchange_reader(file: Path) -> str | None:
    """The reader of another tool's file, by what is in it; `store` for a store of mmcl's; None if it is none."""
    ending = file.suffix.lower()
    try:
        if ending == ".npz":
            return "ctr_npz" if {"x_train", "y_train"} <= set(open_npz(file)) else None
        if ending in (".h5", ".hdf5"):
            with h5py.File(file) as h5:
                return "store" if h5.attrs.get("schema") == SCHEMA else None
    except (OSError, UserError):
        return None
    return "pyskl" if ending in (".pkl", ".pickle") and "label" not in file.stem else None


def open_exchange(reader: str, file: Path, rewritten: Path) -> Published:
    """List the clips of one file.

    Args:
        reader: of `exchange_reader`.
        file: of it.
        rewritten: the pickle that a store is converted to.

    Raises:
        UserError: the file cannot be read.
    """
    forms = {"ctr_npz": "it holds x_train, y_train", "pyskl": "a pickle of annotations"}
    if reader == "store":
        if not rewritten.exists():
            convert(file, rewritten)
        return open_published("pyskl", {}, rewritten, [], f"{file.name} is a store of mmcl, converted")
    return open_published(reader, {}, file, [], f"{file.name}: {forms[reader]}")


def open_published(
    name: str, options: dict[str, Any], skeletons: Path, videos: list[str], why: str
) -> Published:
    """List the clips, and read some.

    Raises:
        UserError: there are none, or none of the first can be read.
    """
    opened: Reader = open_reader(reader_settings(name, options), skeletons)
    entries = list_clips(opened)
    usable = [entry for entry in entries if not entry.left_out]
    errors = []
    for entry in usable[:: max(1, len(usable) // TRIED)][:TRIED]:
        try:
            read_recording(opened.read_clip, entry)
        except UserError as error:
            errors.append(error)
    if not usable or len(errors) >= min(TRIED, len(usable)):
        raise errors[0] if errors else UserError(f"{skeletons}: no clip can be used")
    actions, subjects = ({getattr(one, key) for one in usable} - {"", 0} for key in ("action", "subject"))
    left_out = len(entries) - len(usable)
    findings = [
        Finding("reader", name, why),
        Finding("layout", opened.layout, "of this reader"),
        Finding("clips", str(len(entries)), f"{left_out} left out" if left_out else "all can be used"),
        Finding("label", str(len(actions)), "of this reader"),
        Finding("subject", str(len(subjects)), "of this reader" if subjects else "the files name none"),
    ]
    return Published(name, options, skeletons, entries, (*PROTOCOLS.get(name, ()), "given"), findings)
