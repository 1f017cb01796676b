"""Where the clips of an audit lie: a folder of recordings, or a store of skeletons."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from mmcl import store
from mmcl.datasets import ClipEntry, Reader, open_reader
from mmcl.datasets.clip import slice_clip
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import Clips, as_clips, split
from mmcl.errors import UserError
from mmcl.settings.dataset import RecordingsSettings
from mmcl.settings.protocol import Rule


@dataclass
class Source:
    """Clips to audit, read one at a time.

    Attributes:
        layout: joint layout.
        clips: those that can be opened, as protocols see them.
        read: number of a clip → (T, M, V, 3) metres, as recorded where the reader has `raw_clip`, else as it is
            used; raises UserError where it cannot be used.
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


def open_folder(dataset: RecordingsSettings) -> Source:
    """Recordings as a data set's reader lists them.

    Raises:
        UserError: a folder is missing or holds no clip.
    """
    reader = open_reader(dataset, dataset.skeletons, dataset.videos)
    entries = list_clips(reader)
    used = [entry for entry in entries if entry.skeleton and not entry.left_out]
    return Source(
        layout=reader.layout,
        clips=as_clips(used),
        read=lambda i: read_recorded(reader, used[i]),
        left_out={entry.name: entry.left_out for entry in entries if entry.left_out},
        unreadable={
            entry.name: "no skeleton file" for entry in entries if not (entry.skeleton or entry.left_out)
        },
        skeletons=Path(dataset.skeletons) if dataset.skeletons else None,
        videos=Path(dataset.videos) if dataset.videos else None,
        video={entry.name: entry.video for entry in entries if entry.video},
    )


def open_store(path: Path) -> Source:
    """A store of skeletons; it no longer holds what its reader removed in cleaning.

    Raises:
        UserError: it cannot be read.
    """
    skeletons = SkeletonStore(path)
    # slices of the file, not the store's own array: NTU RGB+D 120 has 3 GB
    joints = store.open_any(path)["joints"]
    return Source(
        layout=skeletons.layout,
        clips=skeletons.clips,
        read=lambda i: slice_clip(joints, *skeletons.place(i)),
        unreadable=dict(skeletons.failed),
    )


@runtime_checkable
class RawReader(Protocol):
    """A reader that also gives what its cleaning removes."""

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3) metres, every recorded frame and body as in the file, NaN included; an absent person is zero.

        Raises:
            UserError: the recording cannot be read.
        """


def read_recorded(reader: Reader, entry: ClipEntry) -> np.ndarray:
    """(T, M, V, 3): `raw_clip` of a reader that has one, else `read_clip`."""
    return read_recording(reader.raw_clip if isinstance(reader, RawReader) else reader.read_clip, entry)


def part(source: Source, protocol: str, rule: Rule | None) -> tuple[np.ndarray, np.ndarray]:
    """(N,) training and test clips of a protocol among `source.clips`.

    The rows of an npz read without names have no subject; then the file's own two parts count.

    Raises:
        UserError: there is no such protocol, or a side of it has no clip.
    """
    train, test = split(protocol, source.clips, rule)
    if not (train.any() or test.any()):
        train, test = source.clips.split == "train", source.clips.split == "test"
    for side, clips in (("train", train), ("test", test)):
        if not clips.any():
            raise UserError(f"protocol {protocol}: no clip of this data set is for {side}")
    return train, test
