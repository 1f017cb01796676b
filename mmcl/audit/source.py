"""Where the clips of an audit lie: a folder of recordings, or a store of skeletons."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mmcl import store
from mmcl.datasets import ClipEntry, Reader, open_reader
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import Clips, split
from mmcl.errors import UserError


@dataclass
class Source:
    """Clips to look at, one at a time.

    Attributes:
        layout: joint layout.
        clips: those that can be opened, as protocols see them.
        read: number of a clip → (T, M, V, 3) metres, as recorded where the reader gives that, else as it is used;
            raises UserError where it cannot be used.
        left_out: clip → why the data set's own rules leave it out.
        unreadable: clip → why it cannot be used, as far as that is known without opening it.
        skeletons, videos: the folders, None where there are none.
        video: clip → path below `videos`.
    """

    layout: str
    clips: Clips
    read: Callable[[int], np.ndarray]
    left_out: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    skeletons: Path | None = None
    videos: Path | None = None
    video: dict[str, str] = field(default_factory=dict)


def open_folder(dataset: dict[str, Any]) -> Source:
    """Recordings as a data set's reader lists them.

    Args:
        dataset: settings, see `mmcl.datasets.open_reader`.

    Raises:
        UserError: a folder is missing or holds no clip.
    """
    reader = open_reader(dataset)
    entries = reader.list_clips()
    used = [entry for entry in entries if entry.skeleton and not entry.left_out]
    return Source(
        layout=reader.layout,
        clips=_as_clips(used),
        read=lambda i: read_recorded(reader, used[i]),
        left_out={entry.name: entry.left_out for entry in entries if entry.left_out},
        unreadable={
            entry.name: "no skeleton file" for entry in entries if not (entry.skeleton or entry.left_out)
        },
        skeletons=Path(dataset["skeletons"]),
        videos=Path(dataset["videos"]) if dataset.get("videos") else None,
        video={entry.name: entry.video for entry in entries if entry.video},
    )


def open_store(path: Path) -> Source:
    """A store of skeletons: what its reader cleaned away is not seen any more.

    Raises:
        UserError: it cannot be read.
    """
    skeletons = SkeletonStore(path)
    # pieces of the file, not the store's own array: NTU RGB+D 120 has 3 GB
    joints = store.open_any(path)["joints"]

    def read(i: int) -> np.ndarray:
        frames, persons, start = (int(a[i]) for a in (skeletons.frames, skeletons.persons, skeletons.offset))
        return joints[start : start + frames * persons].reshape(frames, persons, *joints.shape[1:])

    return Source(
        layout=skeletons.layout, clips=skeletons.clips, read=read, unreadable=dict(skeletons.failed)
    )


@runtime_checkable
class RawReader(Protocol):
    """A reader that can also show what its cleaning removes."""

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3) metres, every recorded frame and body as the file has it, NaN and all; who is not there is zero.

        Raises:
            UserError: the recording cannot be read.
        """


def read_recorded(reader: Reader, entry: ClipEntry) -> np.ndarray:
    """(T, M, V, 3): `raw_clip` of a reader that has one, else `read_clip`."""
    return reader.raw_clip(entry) if isinstance(reader, RawReader) else reader.read_clip(entry)


def part(source: Source, protocol: str, rule: dict[str, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """(N,) training and test clips of a protocol among `source.clips`.

    The rows of an npz read without names tell no protocol their subject; then its own two parts count.

    Raises:
        UserError: there is no such protocol, or no clip on one of its sides.
    """
    train, test = split(protocol, source.clips, rule)
    if not (train.any() or test.any()):
        train, test = source.clips.split == "train", source.clips.split == "test"
    for side, clips in (("train", train), ("test", test)):
        if not clips.any():
            raise UserError(f"protocol {protocol}: no clip of this data set is for {side}")
    return train, test


def _as_clips(entries: list[ClipEntry]) -> Clips:
    return Clips(
        names=[entry.name for entry in entries],
        action=np.array([entry.action for entry in entries], object),
        subject=np.array([entry.subject for entry in entries], np.int64),
        camera=np.array([entry.camera for entry in entries], np.int64),
        setup=np.array([entry.setup for entry in entries], np.int64),
        split=np.array([entry.split for entry in entries], object),
    )
