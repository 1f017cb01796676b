"""Skeletons of clips that a user names: a store, recordings in a data set's own form, or a data set. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcl import paths
from mmcl.datasets import EstimatedPoses, Reader, open_reader, reader_class, reader_settings, reads_file
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.names import clip_name
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.settings.dataset import DatasetSettings, ReaderSettings


@dataclass
class Recordings:
    """Skeletons of clips, of a store or of recordings.

    Attributes:
        layout: their joint layout.
        names: the clips.
        read: name -> (T, M, V, 3) float32, centred; raises UserError where a clip cannot be used.
        extra: name -> what the user's own table states of the clip, column → text.
        reader, entries: of recordings, what reads them and clip → where it lies; None and empty for a store.
    """

    layout: str
    names: list[str]
    read: Callable[[str], np.ndarray]
    extra: dict[str, dict[str, str]] = field(default_factory=dict)
    reader: Reader | None = None
    entries: dict[str, ClipEntry] = field(default_factory=dict)


def open_recordings(
    path: Path,
    reader: str | None = None,
    options: dict[str, Any] | None = None,
    names: Sequence[str] = (),
    videos: Path | None = None,
) -> Recordings:
    """Open a store of skeletons, or recordings in a data set's own form.

    Args:
        path: store `mmcl.skeletons/1`; with `reader` a folder of recordings, or one of them.
        reader: a data set's reader, see `mmcl.settings.tables.READERS`.
        options: of the reader.
        names: only these clips; all if there are none.
        videos: folder of the recordings' videos.

    Raises:
        UserError: nothing to read there, or no clip of a name.
    """
    recordings = (
        of_store(SkeletonStore(path))
        if reader is None
        else _of_folder(path, reader_settings(reader, options or {}), videos)
    )
    return _only(recordings, names, path)


def open_dataset(name: str, settings: DatasetSettings, names: Sequence[str] = ()) -> Recordings:
    """Open the recordings of a data set, whether they have labels or not.

    Args:
        name: of the data set; for the stores of its poses, if a pose estimator makes its skeletons.
        settings: of it.
        names: only these clips; all if there are none.

    Raises:
        UserError: the recordings or the poses are not there, or no clip of a name is.
    """
    poses = None
    if settings.poses:
        stores = paths.shards(paths.POSES, settings.shards, dataset=name)
        if missing := [path for path in stores if not Path(path).exists()]:
            raise UserError(f"{missing[0]}: not there; `snakemake --cores 2 {' '.join(missing)}` makes it")
        poses = EstimatedPoses(stores, settings.poses.joint_confidence)
    reader = open_reader(settings, settings.skeletons, settings.videos, poses)
    source = "video" if settings.poses else "skeleton"
    entries = [entry for entry in list_clips(reader) if getattr(entry, source)]
    return _only(of_reader(reader, entries), names, name)


def _only(recordings: Recordings, names: Sequence[str], place: str | Path) -> Recordings:
    """The recordings with these clips alone; with all if there are no names."""
    names = [clip_name(name) for name in names]
    if unknown := sorted(set(names) - set(recordings.names)):
        raise UserError(f"{place}: has no clip {', '.join(unknown)}")
    if names:
        recordings.names = list(names)
    return recordings


def of_reader(reader: Reader, entries: Sequence[ClipEntry]) -> Recordings:
    """Clips as their data set's reader gives them."""
    by_name = {entry.name: entry for entry in entries}
    return Recordings(
        reader.layout,
        list(by_name),
        lambda name: read_recording(reader.read_clip, by_name[name]),
        {entry.name: dict(entry.extra) for entry in entries if entry.extra},
        reader,
        by_name,
    )


def of_store(store: SkeletonStore) -> Recordings:
    """The clips of a store, read one by one, and those that failed."""
    rows = {name: row for row, name in enumerate(store.names)}

    def read(name: str) -> np.ndarray:
        if name in store.failed:
            raise UserError(store.failed[name])
        return next(store.read_clips([rows[name]]))

    return Recordings(store.layout, [*store.names, *store.failed], read)


def _of_folder(path: Path, settings: ReaderSettings, videos: Path | None) -> Recordings:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    one = path.is_file() and not reads_file(reader_class(settings.reader))
    folder = path.parent if one else path
    reader = open_reader(settings, folder, videos)
    # the name alone may keep a clip out of training and scoring; to recognise it, its skeleton is enough
    entries = [entry for entry in list_clips(reader) if entry.skeleton]
    if one:
        entries = [entry for entry in entries if folder / entry.skeleton == path]
        if not entries:
            raise UserError(f"{path}: no recording for the reader {settings.reader}. {reader.what_belongs}")
    return of_reader(reader, entries)
