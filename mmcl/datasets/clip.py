"""A clip of a data set, and what every data set's reader can do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

FARTHEST = 100.0
"""Metres. Kinect sees 8; a joint beyond this is no measurement, though its number may be finite."""


def hold_positions(joints: np.ndarray) -> np.ndarray:
    """(F,) whether a frame of (F, V, 3) metres holds positions: all finite and near, not all zero."""
    return (np.abs(joints) <= FARTHEST).all((1, 2)) & joints.any((1, 2))  # false for NaN too


@dataclass(frozen=True)
class ClipEntry:
    """What a file name and a folder's contents say about one clip; no recording is opened for it.

    Attributes:
        name: file name without suffix; the clip's address everywhere.
        action: the data set's own class id (`A023`; UTD-MHAD `a3`).
        subject, camera, setup: as numbered by the data set; 1 where it has no such thing, 0 if unknown.
        frames: length, where it is known without opening the file.
        skeleton: path relative to the data set's skeleton folder, "" if absent.
        video: path relative to the data set's video folder, "" if absent.
        left_out: why the clip takes part in nothing, "" if it does.
        split: "train" or "test" where the data set itself says so for each clip, else "".
    """

    name: str
    action: str
    subject: int
    camera: int
    setup: int
    frames: int | None
    skeleton: str
    video: str
    left_out: str
    split: str = ""


class Reader(Protocol):
    """One data set on disk. A class per data set, listed in `mmcl.datasets.READERS`.

    Attributes:
        layout: joint layout of its skeletons.
        persons: most people in a clip.
        what_belongs: what its folders hold and where it comes from, for messages.
        two_person_actions: class ids in which two people act together.
        defaults: every option the reader takes, with its default.
    """

    what_belongs: ClassVar[str]
    defaults: ClassVar[dict[str, Any]]

    # the same for all of a data set's users, or as its options say
    @property
    def layout(self) -> str: ...
    @property
    def persons(self) -> int: ...
    @property
    def two_person_actions(self) -> frozenset[str]: ...

    def __init__(self, skeletons: Path | None, videos: Path | None, options: dict[str, Any]): ...

    def class_names(self) -> dict[str, str]:
        """Class id → name of every class of the data set."""

    def list_clips(self) -> list[ClipEntry]:
        """The clips that lie in the folders, sorted by name. Opens no recording.

        Raises:
            UserError: there are none, or two files claim one name.
        """

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3) float32 metres: cleaned and centred, M people; an absent person is all zero.

        Raises:
            UserError: the recording cannot be used; the message says why.
        """

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, V, 2) float32 px in a video picture of width × height, for every recorded frame.

        T counts every frame of the recording, also those that cleaning drops. NaN where unknown.

        Raises:
            UserError: as `read_clip`.
        """
