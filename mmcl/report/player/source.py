"""Where the clips to show come from: a store, a data set of the configuration, or recordings."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmcl import paths, store
from mmcl.config import Config, config_files, load
from mmcl.datasets import ClipEntry, EstimatedPoses, Reader, open_reader
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.posed import LAYOUT, PoseStores
from mmcl.datasets.posed import SCHEMA as POSES
from mmcl.datasets.prepare import SCHEMA as SKELETONS
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError, known, meant
from mmcl.evaluation.recordings import Recordings, of_reader, of_store, open_recordings
from mmcl.report.spread import spread

log = logging.getLogger(__name__)

METRES, HEIGHTS, PIXELS = "m", "picture heights", "px"


class Listed(NamedTuple):
    """A data set's reader and the clips that it lists, for what a store does not hold."""

    reader: Reader
    entries: dict[str, ClipEntry]
    videos: Path | None


@dataclass(frozen=True)
class Source:
    """Clips to show.

    Attributes:
        title: of all of them.
        recordings: their skeletons; of estimated poses x and y are in pixels, y up.
        labels: clip → its class.
        listed: what their data set's reader knows of them; None without one.
        dataset, root: whose results lie in `root`/results; None without such results.
        poses: stores of estimated poses, where these are what is shown.
        rates: clip → frames per second, where it is known.
        left_out: clip → why it takes part in nothing, though its skeleton can be read.
    """

    title: str
    recordings: Recordings
    labels: dict[str, str] = field(default_factory=dict)
    listed: Listed | None = None
    dataset: str | None = None
    root: Path = Path()
    poses: PoseStores | None = None
    rates: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def chosen(self, patterns: Sequence[str], count: int) -> list[str]:
        """The clips of names or patterns (`a1_*`), in their order; without any, `count` evenly over all clips.

        Raises:
            UserError: no clip has such a name.
        """
        names = self.recordings.names
        if not patterns:
            usable = [name for name in names if name not in self.left_out] or names
            return spread(usable, count)
        found: dict[str, None] = {}
        for pattern in patterns:
            own = [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]
            if not own:
                raise UserError(
                    f"{self.title}: no clip {pattern!r} among {len(names)}{meant(pattern, names)}"
                )
            found |= dict.fromkeys(own)
        return list(found)


class Request(NamedTuple):
    """How a user names clips.

    Attributes:
        what: a store, a data set of the configuration, or with a reader a folder of recordings or one of them.
        reader, options: of recordings.
        videos: folder of the videos, instead of the configuration's.
        config: files on top of the config.yaml beside the results or in the working directory, see
            `mmcl.config.config_files`.
        raw: whether people are shown as they were recorded, before the reader's cleaning.
    """

    what: str
    reader: str | None = None
    options: dict[str, Any] | None = None
    videos: Path | None = None
    config: tuple[Path, ...] = ()
    raw: bool = False


def open_source(request: Request) -> Source:
    """Open the clips that a user names.

    Raises:
        UserError: there is no such store, data set, folder, reader or option; or nothing was kept as it was recorded.
    """
    path = Path(request.what)
    if request.reader:
        source = _of_recordings(path, request)
    elif path.suffix.lower() in (".h5", ".hdf5"):
        source = _of_store(path, request)
    elif path.exists():
        raise UserError(
            f"{path}: neither a store (….h5) nor a data set; for recordings name their reader, --reader ntu"
        )
    else:
        source = _of_dataset(request)
    return _as_recorded(source) if request.raw else source


def _of_recordings(path: Path, request: Request) -> Source:
    assert request.reader is not None
    recordings = open_recordings(path, request.reader, request.options, videos=request.videos)
    assert recordings.reader is not None
    listed = Listed(recordings.reader, recordings.entries, request.videos)
    return _with_reader(Source(path.stem, recordings), listed)


def _with_reader(source: Source, listed: Listed) -> Source:
    classes = listed.reader.class_names()
    actions = {name: entry.action for name, entry in listed.entries.items()}
    labels = {name: _label(action, classes.get(action, "")) for name, action in actions.items() if action}
    left_out = {name: entry.left_out for name, entry in listed.entries.items() if entry.left_out}
    return replace(source, listed=listed, labels=labels | source.labels, left_out=left_out | source.left_out)


def _label(id: str, name: str) -> str:
    return f"{id} {name}" if name and name != id else id


def _of_store(path: Path, request: Request) -> Source:
    with store.opened(path) as h5:
        schema = str(h5.attrs["schema"])
    root = paths.root_of(path.parent)
    if schema == POSES:
        return _of_poses(path, root, request)
    if schema != SKELETONS:
        raise UserError(f"{path}: holds {schema}; skeletons are in stores of {SKELETONS} or {POSES}")
    skeletons = SkeletonStore(path)
    labels = [_label(*of) for of in zip(skeletons.class_ids, skeletons.class_names, strict=True)]
    source = Source(
        path.stem,
        of_store(skeletons),
        {name: labels[label] for name, label in zip(skeletons.names, skeletons.labels.tolist(), strict=True)},
        dataset=path.stem,
        root=root,
        left_out=dict(skeletons.failed),
    )
    return _with_dataset(source, request)


def _of_poses(path: Path, root: Path, request: Request) -> Source:
    poses = PoseStores([path])
    with store.opened(path, POSES) as h5:
        rates = dict(zip(h5["names"].asstr()[:].tolist(), h5["rate"][:].tolist(), strict=True))

    def read(name: str) -> np.ndarray:
        keypoints, (_, height) = poses.read(name)
        there = (keypoints != 0).any((2, 3))[..., None]
        x, y = keypoints[..., 0], np.where(there, height - keypoints[..., 1], 0)
        return np.stack([x, y, np.zeros_like(x)], axis=-1)

    source = Source(
        f"{path.parent.name} {path.stem}",
        Recordings(LAYOUT, [*poses.rows, *poses.failed], read),
        dataset=path.parent.name,
        root=root,
        poses=poses,
        rates=rates,
        left_out=dict(poses.failed),
    )
    return _with_dataset(source, request)


def _of_dataset(request: Request) -> Source:
    settings = load(*config_files(request.config))
    if request.what not in settings.datasets:
        raise UserError(
            f"{request.what}: no such file, and no data set of the configuration"
            f"{known(request.what, settings.datasets)}"
        )
    prepared = Path(paths.at(paths.SKELETONS, dataset=request.what))
    if prepared.is_file():
        return _of_store(prepared, request)
    listed = _listed(settings, request.what, Path(), request.videos)
    posed = settings.datasets[request.what].poses
    entries = [entry for entry in listed.entries.values() if entry.skeleton or posed]
    recordings = of_reader(listed.reader, entries)
    return _with_reader(Source(request.what, recordings, dataset=request.what), listed)


def _with_dataset(source: Source, request: Request) -> Source:
    """A store's clips with what the configuration's data set of that name knows of them, if it can be read."""
    assert source.dataset is not None
    asked = request.config or request.videos or request.raw
    try:
        settings = load(*config_files(request.config, source.root))
        if source.dataset not in settings.datasets:
            if asked:
                raise UserError(
                    f"the configuration has no data set {source.dataset!r}, so its recordings are not known"
                    f"{known(source.dataset, settings.datasets)}"
                )
            return source
        dataset = settings.datasets[source.dataset]
        folder = dataset.skeletons or dataset.videos
        if not asked and not (folder and (source.root / folder).exists()):
            if folder:
                log.warning(
                    "%s: shown without recordings and videos: no %s", source.title, source.root / folder
                )
            return source
        listed = _listed(settings, source.dataset, source.root, request.videos)
    except UserError as error:
        if asked:
            raise
        log.warning("%s: shown without its recordings and videos: %s", source.title, error)
        return source
    return _with_reader(source, listed)


def _listed(settings: Config, name: str, root: Path, videos: Path | None) -> Listed:
    dataset = settings.datasets[name]

    def place(folder: str | Path | None) -> Path | None:
        return root / folder if folder else None

    videos = videos or place(dataset.videos)
    if videos and not videos.is_dir():
        log.warning("%s: no folder of videos %s", name, videos)
        videos = None
    poses = None
    if dataset.poses:
        stores = sorted(root.glob(paths.at(paths.POSES, dataset=name, shard="*")))
        poses = EstimatedPoses(stores, dataset.poses.joint_confidence)
    reader = open_reader(dataset, place(dataset.skeletons), videos, poses)
    return Listed(reader, {entry.name: entry for entry in list_clips(reader)}, videos)


def _as_recorded(source: Source) -> Source:
    """The same clips before the reader's cleaning."""
    listed = source.listed
    read: Callable[[ClipEntry], np.ndarray] | None = (
        getattr(listed.reader, "raw_clip", None) if listed else None
    )
    if listed is None or read is None:
        kind = type(listed.reader).__name__ if listed else "a store without recordings"
        raise UserError(f"{source.title}: {kind} gives cleaned people alone; leave out --raw")
    names = [
        name
        for name, entry in listed.entries.items()
        if entry.skeleton and name in set(source.recordings.names)
    ]
    recordings = Recordings(
        listed.reader.layout, names, lambda name: read_recording(read, listed.entries[name])
    )
    return replace(source, title=f"{source.title}, as recorded", recordings=recordings, poses=None)
