"""`mmcl convert`: from the files of any reader to a store or to another tool's files.

Everything is converted through a store: recordings and other tools' files are prepared as for training, and what is
written for other tools equals the input of training.
"""

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from mmcl import store
from mmcl.datasets import reader_settings
from mmcl.datasets.clip import slice_clip
from mmcl.datasets.files import find_file
from mmcl.datasets.prepare import SCHEMA, SkeletonStore, index_clips, prepare_skeletons
from mmcl.datasets.stored_layout import write_layout
from mmcl.errors import UserError
from mmcl.exchange.padding import whole
from mmcl.exchange.write_crosclr import write_crosclr
from mmcl.exchange.write_npz import write_npz
from mmcl.exchange.write_pyskl import write_pyskl
from mmcl.layouts import get_layout
from mmcl.progress import tracked
from mmcl.schemas import describe, require_finite, settings_of
from mmcl.settings.base import narrowed, replaced
from mmcl.settings.dataset import ReaderSettings
from mmcl.settings.jobs import Indexing, Preparation
from mmcl.settings.tables import READERS
from mmcl.skeleton.cleaning import centred
from mmcl.skeleton.mapping import map_joints
from mmcl.stages import VERSIONS

log = logging.getLogger(__name__)

FORMS = {".h5": "store", ".npz": "npz", ".pkl": "pyskl", "": "crosclr"}
"""Suffix of the output → form."""

SHOWN = 10


def guess_reader(source: Path) -> str | None:
    """The reader of an exchange file by its name; None for a store.

    Raises:
        UserError: nothing lies there, or its reader has to be named.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_dir():
        if any(find_file(source, f"{part}_label.pkl") for part in ("train", "val")):
            return "crosclr"
    elif source.suffix.lower() in (".npz", ".pkl", ".pickle"):
        return "ctr_npz" if source.suffix.lower() == ".npz" else "pyskl"
    elif source.suffix.lower() == ".h5" or h5py.is_hdf5(source):
        return None
    raise UserError(f"{source}: name its reader, --reader {'|'.join(READERS)}")


def source_settings(source: Path, reader: str | None, options: dict[str, Any]) -> ReaderSettings | None:
    """The reader of a source, as a user states it; None for a store.

    Args:
        source: a store of skeletons, or what a reader reads.
        reader: its name; None to recognise an exchange file.
        options: of the reader, key → value.

    Raises:
        UserError: nothing lies there, the reader has to be named, or an option is wrong.
    """
    if name := reader or guess_reader(source):
        return reader_settings(name, options)
    if options:
        raise UserError(f"{source}: is a store, which has no reader's options")
    return None


def convert(
    source: Path,
    output: Path,
    settings: ReaderSettings | None = None,
    *,
    protocol: str | None = None,
    layout: str | None = None,
    person2: str = "zeros",
    ikem: bool = False,
    force: bool = False,
    report: Callable[[str], None] = log.info,
) -> dict[str, Any]:
    """Convert skeletons. The output appears whole or not at all.

    Args:
        source: a store of skeletons, or what the reader of `settings` reads.
        output: ….h5 (a store), ….npz (CTR-GCN), ….pkl (pyskl) or a folder without suffix (CrosSCLR).
        settings: the reader and its options; None for a store, see `source_settings`.
        protocol: whose training and test clips; npz and folder need one, a store has none.
        layout: joint layout of the output; the source's if None.
        person2: `zeros` or `duplicated`: what npz and folder hold for an absent second person. Of recordings only those
            are copied that CTR-GCN's script would copy; a store does not hold which these are.
        ikem: write IKEM's labels into a folder, with numbers of frames.
        force: replace an output that exists.
        report: gets lines about what was written, what was left out and why.

    Returns:
        output, layout, classes, written {what: how many clips}, in_neither_part (clips that the protocol neither trains
        nor tests with), left_out [{reason, clips, example}], the most frequent first.

    Raises:
        UserError: nothing to read there, the output exists or cannot be of this form, or a clip list does not fit.
    """
    form = FORMS.get(output.suffix.lower())
    if form is None:
        raise UserError(f"{output}: must end in .h5, .npz, .pkl, or have no suffix (a folder for CrosSCLR)")
    if output.exists() and not force:
        raise UserError(f"{output}: is there already; --force replaces it")
    if output.is_dir() != (form == "crosclr") and output.exists():
        raise UserError(f"{output}: is a {'folder' if output.is_dir() else 'file'}; not replaced")
    if output.exists() and output.samefile(source):
        raise UserError(f"{output}: is the input")
    if form in ("npz", "crosclr") and not protocol:
        raise UserError(f"{output}: training and test clips are parts of this form: give --protocol")
    if form == "store" and protocol:
        raise UserError(f"{output}: one store serves every protocol: leave --protocol out")
    if settings is None and form == "store" and not layout:
        raise UserError(f"{source}: is a store already; give --layout or another form of output")
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as work:
        skeletons = source
        if settings is not None:
            skeletons = Path(work, "read.h5")
            if (
                form in ("npz", "crosclr")
                and person2 == "duplicated"
                and hasattr(settings.options, "person2")
            ):
                settings = replaced(settings, options=replaced(settings.options, person2=person2))
            _prepare(source, settings, skeletons)
        if layout and layout != SkeletonStore(skeletons).layout:
            mapped = Path(work, "mapped.h5")
            map_store(skeletons, mapped, layout)
            skeletons = mapped
        if form == "store":
            counts = {"clips": len(SkeletonStore(skeletons))}
            with whole(output) as new:
                skeletons.replace(new)
            skeletons = output
        elif form == "pyskl":
            counts = write_pyskl(skeletons, output, protocol)
        elif form == "npz":
            counts = write_npz(skeletons, output, protocol or "", person2)
        else:
            counts = write_crosclr(skeletons, output, protocol or "", person2, ikem)
        summary = _summary(SkeletonStore(skeletons), output, counts, protocol)
    _report(summary, protocol, report)
    return summary


def _prepare(source: Path, settings: ReaderSettings, path: Path) -> None:
    index = path.with_suffix(".tsv")
    index_clips(narrowed(Indexing, settings), index, source)
    preparation = narrowed(Preparation, settings, version=VERSIONS["prepare_skeletons"])
    prepare_skeletons(index, path, preparation, source)


def _summary(
    skeletons: SkeletonStore, output: Path, counts: dict[str, int], protocol: str | None
) -> dict[str, Any]:
    """See `convert`."""
    beside = 0
    if protocol and "annotations" not in counts:
        beside = len(skeletons) - sum(counts.values())
    examples = {reason: name for name, reason in reversed(skeletons.failed.items())}
    return {
        "output": str(output),
        "layout": skeletons.layout,
        "classes": len(skeletons.class_ids),
        "written": counts,
        "in_neither_part": beside,
        "left_out": [
            {"reason": reason, "clips": count, "example": examples[reason]}
            for reason, count in Counter(skeletons.failed.values()).most_common()
        ],
    }


def _report(summary: dict[str, Any], protocol: str | None, report: Callable[[str], None]) -> None:
    written = ", ".join(f"{count} {key}" for key, count in summary["written"].items())
    report(f"{summary['output']}: {written}; layout {summary['layout']}, {summary['classes']} classes")
    if beside := summary["in_neither_part"]:
        report(f"left out: {beside} clips that {protocol} neither trains nor tests with")
    for one in summary["left_out"][:SHOWN]:
        more = ", …" if one["clips"] > 1 else ""
        report(f"left out: {one['clips']} × {one['reason']} ({one['example']}{more})")
    if (more_reasons := len(summary["left_out"]) - SHOWN) > 0:
        report(f"left out for {more_reasons} further reasons; a store (….h5) names them all")


def map_store(source: Path, output: Path, target: str) -> None:
    """Write a store's skeletons in another joint layout; everything else is kept.

    Joints are mapped by their names (`mmcl.skeleton.mapping`), and clips centred on the new layout's centre.

    Raises:
        UserError: the joints cannot be made from those of the source.
    """
    centre = get_layout(target).centre
    with store.opened(source, SCHEMA) as h5, store.created(output) as out:
        own = str(h5.attrs["layout"])
        for key in h5:
            if key not in ("joints", "layout"):
                h5.copy(key, out)
        joints = out.create_dataset("joints", (len(h5["joints"]), len(get_layout(target)), 3), "float32")
        places = (h5[key][:].tolist() for key in ("offset", "frames", "persons"))
        rows = zip(*places, strict=True)
        for start, frames, persons in tracked(rows, "mapping", "clips", len(h5["names"])):
            clip = require_finite(h5, "joints", slice_clip(h5["joints"], start, frames, persons))
            people = map_joints(clip, own, target)
            people = centred(people, (people != 0).any((2, 3)), centre)
            joints[start : start + frames * persons] = people.reshape(-1, *people.shape[2:])
        settings = {**settings_of(h5), "mapped_from": own, "layout": target}
        write_layout(out, target)
        out.attrs.update(h5.attrs)
        out.attrs["layout"], out.attrs["settings"] = target, json.dumps(settings, sort_keys=True)
        names = h5["names"].asstr()[:].tolist()
        out.attrs["fingerprint"] = store.fingerprint(SCHEMA, settings, names, [source])
        describe(out)
