"""From videos to poses (rule `estimate_poses`)."""

import functools
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mmcl import store
from mmcl.datasets import ClipEntry
from mmcl.datasets.clip import NO_LABEL
from mmcl.datasets.index import read_index
from mmcl.datasets.posed import LAYOUT, PERSONS, SCHEMA
from mmcl.datasets.stored_layout import write_layout
from mmcl.device import pick_device
from mmcl.errors import UserError, memory_reported
from mmcl.naming import members
from mmcl.settings.base import replaced
from mmcl.settings.jobs import PoseEstimation
from mmcl.settings.video import PoseSettings
from mmcl.video.decode import Recording
from mmcl.video.detect import CHUNK
from mmcl.video.jpeg import Unreadable
from mmcl.video.pose import KEYPOINTS, Estimator, People, known_weights, open_estimator
from mmcl.video.track import follow


class Estimated(NamedTuple):
    """A clip's poses (T, M, 17, 3) in pixels, its video's size (2,) and its frames per second."""

    poses: np.ndarray
    size: tuple[int, int]
    rate: float


def estimate_poses(
    index: Path,
    videos: Path | None,
    shard: tuple[int, int],
    output: Path,
    settings: PoseEstimation,
    threads: int,
) -> None:
    """Estimate the poses in a shard's recordings, `mmcl.poses/1`.

    Columns: `keypoints` (sum of frames × persons, 17, 3) x, y in pixels and confidence, all zero where a person is
    not seen; `offset`, `frames`, `persons` per clip, at most two people; `size` (2) width and height of the video;
    `rate` frames per second of the poses. A clip has no row, with the reason, if it has no video, cannot be
    decoded, or shows nobody.

    Args:
        index: the data set's index (TSV).
        videos: the folder of its videos.
        shard: (i, n): every n-th clip of the sorted index, from the i-th; clips left out there do not count.
        output: where to write.
        settings: of the stage.
        threads: of the network.

    Raises:
        UserError: missing folder, missing weights or package.
    """
    if videos is None:
        raise UserError("videos: no folder is given, and poses are estimated in videos")
    entries = {entry.name: entry for entry in read_index(index) if entry.left_out in ("", NO_LABEL)}
    worker = Worker(videos, settings.poses, threads)
    with memory_reported(f"lower the data set's poses.batch (now {settings.poses.batch})"):
        store.write(
            output,
            schema=SCHEMA,
            settings=replaced(settings, poses=known_weights(settings.poses)).dump(),
            names=members(list(entries), shard),
            columns=store.columns(SCHEMA),
            batch_size=settings.poses.batch,
            work=lambda names: worker.batch([entries[name] for name in names]),
            inputs=[index],
            finish=_finish,
        )


def _finish(h5: h5py.File) -> None:
    """Fill in each clip's first row of keypoints, which depends on all clips, and the joints' names."""
    lengths = h5["frames"][:].astype(np.int64) * h5["persons"][:]
    h5["offset"][:] = np.cumsum(lengths) - lengths
    write_layout(h5, LAYOUT)


class Worker:
    """Estimates the poses of one clip after another."""

    def __init__(self, videos: Path, settings: PoseSettings, threads: int):
        """The estimator is opened with the first batch."""
        self.videos = videos
        self.settings = settings
        self.threads = threads

    @functools.cached_property
    def estimator(self) -> Estimator:
        """The network."""
        import torch

        torch.set_num_threads(max(1, self.threads))
        return open_estimator(self.settings, pick_device())

    def batch(self, entries: Sequence[ClipEntry]) -> store.Batch:
        """Poses of a few clips."""
        estimator = self.estimator  # opened here, as its errors are not those of a clip
        failed: dict[str, str] = {}
        found: dict[str, Estimated] = {}
        for entry in entries:
            try:
                found[entry.name] = self._clip(entry, estimator)
            except Unreadable as error:
                failed[entry.name] = str(error)
        clips = list(found.values())
        rows = [clip.poses.reshape(-1, KEYPOINTS, 3) for clip in clips]
        columns = {
            "keypoints": np.concatenate(rows) if rows else None,
            "offset": np.zeros(len(clips)),  # filled in over all batches, see _finish
            "frames": [clip.poses.shape[0] for clip in clips],
            "persons": [clip.poses.shape[1] for clip in clips],
            "size": np.array([clip.size for clip in clips]).reshape(-1, 2),
            "rate": [clip.rate for clip in clips],
        }
        return store.Batch(list(found), columns, failed)

    def _clip(self, entry: ClipEntry, estimator: Estimator) -> Estimated:
        if not entry.video:
            raise Unreadable("no video")
        every = self.settings.every
        frames: list[People] = []
        try:
            recording = Recording(self.videos / entry.video)
            pictures = islice(recording.stream(), 0, None, every)
            # a few pictures at a time: those of a long recording do not fit into memory
            while chunk := list(islice(pictures, CHUNK)):
                frames += estimator.poses(chunk)
        except Unreadable as error:
            raise Unreadable(f"cannot decode: {str(error).removeprefix(f'{self.videos}/')}") from None
        poses = follow(frames, PERSONS)
        if not poses.size:
            raise Unreadable("no person")
        return Estimated(poses, recording.size, recording.rate / every)
