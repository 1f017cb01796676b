"""`mmcl convert`: from whatever a reader reads to a store or to another tool's files.

Everything goes through a store: recordings and other tools' files are prepared as for training, and what is written
for other tools is what training would see.
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
from mmcl.datasets import READERS
from mmcl.exchange.padding import whole
from mmcl.exchange.write_crosclr import write_crosclr
from mmcl.exchange.write_npz import write_npz
from mmcl.exchange.write_pyskl import write_pyskl
from mmcl.datasets.prepare import SCHEMA, SkeletonStore, index_clips, prepare_skeletons
from mmcl.errors import UserError
from mmcl.layouts import layout as find_layout
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
        UserError: nothing there, or it takes a reader to be named.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_dir():
        if any((source / f"{part}_label.pkl").is_file() for part in ("train", "val")):
            return "crosclr"
    elif source.suffix in (".npz", ".pkl", ".pickle"):
        return "ctr_npz" if source.suffix == ".npz" else "pyskl"
    elif h5py.is_hdf5(source):
        return None
    raise UserError(f"{source}: name its reader, --reader {'|'.join(READERS)}")


def convert(
    source: Path,
    output: Path,
    *,
    reader: str | None = None,
    options: dict[str, Any] | None = None,
    protocol: str | None = None,
    layout: str | None = None,
    person2: str = "zeros",
    ikem: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = log.info,
) -> None:
    """Convert skeletons. The output appears whole or not at all.

    Args:
        source: a store of skeletons, or what `reader` reads; exchange files are recognised.
        output: ….h5 (a store), ….npz (CTR-GCN), ….pkl (pyskl) or a folder without suffix (CrosSCLR).
        reader: see `mmcl.datasets.READERS`.
        options: of the reader.
        protocol: whose training and test clips; npz and folder need one, a store has none.
        layout: joint layout of the output; the source's if None.
        person2: `zeros` or `duplicated`: what npz and folder hold in place of a second person who is not there.
        ikem: write IKEM's labels into a folder, with numbers of frames.
        force: replace an output that exists.
        tell: is told what was written, what was left out and why.

    Raises:
        UserError: nothing to read there, the output exists or cannot be of this form, or a clip list does not fit.
    """
    form = FORMS.get(output.suffix)
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
    reader = reader or guess_reader(source)
    if reader is None and form == "store" and not layout:
        raise UserError(f"{source}: is a store already; give --layout or another form of output")
    if reader is None and options:
        raise UserError(f"{source}: is a store, which has no reader's options")
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as work:
        skeletons = source
        if reader is not None:
            skeletons = Path(work, "read.h5")
            _prepare(skeletons, {"reader": reader, "skeletons": str(source), "options": options or {}})
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
        _tell_of(SkeletonStore(skeletons), output, counts, protocol, tell)


def _prepare(path: Path, dataset: dict[str, Any]) -> None:
    index = path.with_suffix(".tsv")
    index_clips({**dataset, "videos": None}, index)
    prepare_skeletons(index, {**dataset, "videos": None}, path, {"version": VERSIONS["prepare_skeletons"]})


def _tell_of(
    skeletons: SkeletonStore,
    output: Path,
    counts: dict[str, int],
    protocol: str | None,
    tell: Callable[[str], None],
) -> None:
    written = ", ".join(f"{count} {key}" for key, count in counts.items())
    tell(f"{output}: {written}; layout {skeletons.layout}, {len(skeletons.class_ids)} classes")
    if protocol and "annotations" not in counts and (beside := len(skeletons) - sum(counts.values())):
        tell(f"left out: {beside} clips that {protocol} neither trains nor tests with")
    for reason, count in Counter(skeletons.failed.values()).most_common(SHOWN):
        some = next(name for name, why in skeletons.failed.items() if why == reason)
        tell(f"left out: {count} × {reason} ({some}{', …' if count > 1 else ''})")
    if (more := len(set(skeletons.failed.values())) - SHOWN) > 0:
        tell(f"left out for {more} further reasons; a store (….h5) names them all")


def map_store(source: Path, output: Path, target: str) -> None:
    """Write a store's skeletons in another joint layout; everything else stays as it is.

    Joints are mapped by their names (`mmcl.skeleton.mapping`), and clips centred on the new layout's centre.

    Raises:
        UserError: the joints cannot be made from those of the source.
    """
    centre = find_layout(target).centre
    with store.opened(source, SCHEMA) as h5, h5py.File(output, "w") as out:
        own = str(h5.attrs["layout"])
        for key in h5:
            if key != "joints":
                h5.copy(key, out)
        joints = out.create_dataset("joints", (len(h5["joints"]), len(find_layout(target)), 3), "float32")
        shapes = zip(
            h5["offset"][:].tolist(), h5["frames"][:].tolist(), h5["persons"][:].tolist(), strict=True
        )
        for start, frames, persons in shapes:
            rows = h5["joints"][start : start + frames * persons]
            people = map_joints(rows.reshape(frames, persons, *rows.shape[1:]), own, target)
            people = centred(people, (people != 0).any((2, 3)), centre)
            joints[start : start + frames * persons] = people.reshape(-1, *people.shape[2:])
        settings = {**json.loads(h5.attrs["settings"]), "mapped_from": own, "layout": target}
        out.attrs.update(h5.attrs)
        out.attrs["layout"], out.attrs["settings"] = target, json.dumps(settings, sort_keys=True)
        names = h5["names"].asstr()[:].tolist()
        out.attrs["fingerprint"] = store.fingerprint(SCHEMA, settings, names, [source])
