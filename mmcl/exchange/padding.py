"""What the writers share: clips of a store read one at a time, zero-padded, in files written whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcl.datasets.clip import ClipEntry, slice_clip
from mmcl.datasets.prepare import SCHEMA, SkeletonStore
from mmcl.errors import UserError
from mmcl.exchange.names import label_order, stored_clips
from mmcl.exchange.order import both_sides
from mmcl.exchange.people import PERSONS
from mmcl.files import disk_full_named, written
from mmcl.layouts import get_layout
from mmcl.progress import progress
from mmcl.schemas import require_finite
from mmcl.skeleton.cleaning import most_moving
from mmcl.store import opened

FRAMES = 300
"""Frames that the public files of NTU RGB+D are padded to; more where a clip is longer."""


@contextmanager
def clips_of(skeletons: SkeletonStore) -> Iterator[Callable[[int], np.ndarray]]:
    """A function that reads clip i of a store, (T, M, V, 3), and no other; the progress counts its calls."""
    with opened(skeletons.path, SCHEMA) as h5, progress("writing", len(skeletons), "clips") as step:

        def read(i: int) -> np.ndarray:
            step.advance()
            return require_finite(h5, "joints", slice_clip(h5["joints"], *skeletons.place(i)))

        yield read


class PaddedRows(NamedTuple):
    """The rows of padded arrays, and their sizes.

    Attributes:
        skeletons: the store.
        classes: class ids in the order of the labels.
        sides: `train` and `test` → their clips, row by row.
        row: clip → its row in the store.
        frames: of every clip.
        joints: of every person.
    """

    skeletons: SkeletonStore
    classes: list[str]
    sides: dict[str, list[ClipEntry]]
    row: dict[str, int]
    frames: int
    joints: int


def padded_rows(store: str | Path, protocol: str) -> PaddedRows:
    """The rows of the padded arrays of a protocol.

    Raises:
        UserError: no such protocol, or a side of it has no clip.
    """
    skeletons, entries = SkeletonStore(store), stored_clips(store)
    return PaddedRows(
        skeletons,
        label_order(entries),
        both_sides(entries, protocol),
        {name: i for i, name in enumerate(skeletons.names)},
        max(FRAMES, int(skeletons.frames.max(initial=0))),
        len(get_layout(skeletons.layout)),
    )


def second_person(skeletons: SkeletonStore, person2: str) -> str:
    """What `padded` is told: a store whose reader made copies has all that there are to be."""
    made = skeletons.settings.get("options", {}).get("person2") == "duplicated"
    return "zeros" if made else person2


def padded(clip: np.ndarray, frames: int, person2: str) -> np.ndarray:
    """(frames, 2, V, 3) float32: zeros after the end, and for a second person that is not there.

    Args:
        clip: (T, M, V, 3); of more than two people those with the most motion are kept.
        frames: at least T.
        person2: `zeros`, or `duplicated` to repeat the only person as the second.
    """
    out = np.zeros((frames, PERSONS, *clip.shape[2:]), "<f4")
    people = clip[:, most_moving(clip, PERSONS)]
    out[: len(clip), : people.shape[1]] = people
    if people.shape[1] == 1 and person2 == "duplicated":
        out[:, 1] = out[:, 0]
    return out


@contextmanager
def whole(path: Path, folder: bool = False) -> Iterator[Path]:
    """A path to write to, renamed to `path` when all is written and removed if anything fails.

    What lies at `path` is replaced; a folder only if it holds nothing but files of the new one's names.

    Raises:
        UserError: the disk is full, or a folder there holds other files.
    """
    if not folder:
        with written(path) as new:
            yield new
        return
    with disk_full_named(path), tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as work:
        new = Path(work, path.name)
        new.mkdir()
        yield new
        if path.is_dir():
            if other := {file.name for file in path.iterdir()} - {file.name for file in new.iterdir()}:
                raise UserError(f"{path}: holds {min(other)} too; not replaced")
            os.replace(path, Path(work, "old"))
        os.replace(new, path)
