"""Clips whose skeletons are a pose estimator's keypoints, from stores of schema `mmcl.poses/1`."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from mmcl import store
from mmcl.datasets import EstimatedPoses
from mmcl.datasets.clip import ClipEntry, Reader, slice_clip
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.schemas import require_finite
from mmcl.settings import base
from mmcl.skeleton.cleaning import centred
from mmcl.skeleton.gaps import fill_gaps

SCHEMA = "mmcl.poses/1"
LAYOUT = "coco17"
PERSONS = 2


class Poses(NamedTuple):
    """A clip's keypoints.

    Attributes:
        keypoints: (T, M, 17, 3) x and y in pixels, y down, and confidence; all zero where a person is absent.
        size: width and height of the video in pixels.
    """

    keypoints: np.ndarray
    size: tuple[int, int]


class PoseStores:
    """All stores of a data set's poses; one clip is read at a time."""

    def __init__(self, paths: Sequence[str | Path]):
        """Raises: UserError: a store is absent, unfinished or of another schema."""
        self.rows: dict[str, tuple[Path, int]] = {}
        self.failed: dict[str, str] = {}
        for path in map(Path, paths):
            shard = store.Shards([path], SCHEMA)
            self.rows |= {name: (path, row) for row, name in enumerate(shard.names)}
            self.failed |= shard.failed

    def read(self, name: str) -> Poses:
        """The poses of a clip.

        Raises:
            UserError: it has none; gives the reason.
        """
        if name not in self.rows:
            raise UserError(self.failed.get(name, "no poses were estimated"))
        path, row = self.rows[name]
        with store.opened(path, SCHEMA) as h5:
            place = (int(h5[key][row]) for key in ("offset", "frames", "persons"))
            keypoints = require_finite(h5, "keypoints", slice_clip(h5["keypoints"], *place))
            width, height = h5["size"][row].tolist()
        return Poses(keypoints, (width, height))


class PosedReader:
    """A data set whose clips another reader lists, with estimated skeletons (see `Reader`).

    Two dimensions: x and y as fractions of the picture's height, y up, z 0.
    """

    layout: ClassVar[str] = LAYOUT
    persons: ClassVar[int] = PERSONS
    what_belongs: ClassVar[str] = "videos, and the poses that were estimated in them"
    Options: ClassVar[type[base.Options]] = base.Options

    def __init__(self, listed: Reader, poses: EstimatedPoses):
        """Take over another reader's clips.

        Args:
            listed: lists clips and classes.
            poses: the stores, and the confidence below which a joint counts as unknown.
        """
        self.listed = listed
        self.poses = PoseStores(poses.stores)
        self.joint_confidence = poses.joint_confidence
        self.two_person_actions = listed.two_person_actions

    def class_names(self) -> dict[str, str]:
        """See `Reader`."""
        return self.listed.class_names()

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`."""
        return self.listed.list_clips()

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, 17, 3). A joint below `joint_confidence` is interpolated in time between its known frames."""
        keypoints, (_, height) = self.poses.read(entry.name)
        present = (keypoints != 0).any((2, 3))
        seen = present.any(1)
        keypoints, present = keypoints[seen], present[seen]
        joints = np.zeros_like(keypoints)
        for person in range(keypoints.shape[1]):
            there = present[:, person]
            points = keypoints[there, person]
            joints[there, person, :, :2] = fill_gaps(points[..., :2], points[..., 2] >= self.joint_confidence)
        joints *= np.array([1, -1, 0], np.float32) / np.float32(height)
        return centred(joints, present, get_layout(LAYOUT).centre)

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, 17, 2), scaled to a picture of width × height."""
        keypoints, size = self.poses.read(entry.name)
        pixels = keypoints[..., :2] * np.array([width / size[0], height / size[1]], np.float32)
        present = (keypoints != 0).any((2, 3))
        return np.where(present[..., None, None], pixels, np.nan).astype(np.float32)
