"""A clip of a data set, and what every data set's reader can do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import Field

from mmcl.settings import base

FARTHEST = 100.0
"""Metres. A Kinect's range is 8; a joint beyond this is no measurement, though its number may be finite."""

MOST = 32_767
"""Greatest number of a subject, camera or setup: what a store holds."""

NO_LABEL = "no label"
"""Why a clip is left out that can be recognised, but not trained with."""

MOST_PEOPLE = 127
"""In a clip: what a store holds."""


def hold_positions(joints: np.ndarray) -> np.ndarray:
    """(F,) whether a frame of (F, V, 3) metres holds positions: all finite and near, not all zero."""
    near: np.ndarray = (np.abs(joints) <= FARTHEST).all((1, 2))  # false for NaN too
    return near & joints.any((1, 2))


def slice_clip(rows: Any, offset: int, frames: int, persons: int) -> np.ndarray:
    """(frames, persons, V, D) of one clip of a ragged array.

    Args:
        rows: (sum of frames × persons, V, D) of all clips one after another, an array or an HDF5 data set.
        offset: the clip's first row.
        frames, persons: of the clip.
    """
    part: np.ndarray = rows[offset : offset + frames * persons]
    return part.reshape(frames, persons, *part.shape[1:])


@dataclass(frozen=True)
class ClipEntry:
    """What a file name and a folder's contents state about one clip; no recording is opened for it.

    Attributes:
        name: file name without suffix; the clip's address everywhere.
        action: the data set's own class id (`A023`; UTD-MHAD `a3`).
        subject, camera, setup: as numbered by the data set; 1 where it has no such thing, 0 if unknown. Subjects may be
            texts instead, all of a data set or none; "" if unknown.
        frames: length, where it is known without opening the file.
        skeleton: path relative to the data set's skeleton folder, "" if absent.
        video: path relative to the data set's video folder, "" if absent.
        left_out: why the clip takes part in nothing, "" if it does.
        split: "train" or "test" where the data set itself assigns each clip, else "".
        extra: what else the user's table states of the clip, (column, text) in the table's order.
    """

    name: str
    action: str
    subject: int | str
    camera: int
    setup: int
    frames: int | None
    skeleton: str
    video: str
    left_out: str
    split: str = ""
    extra: tuple[tuple[str, str], ...] = ()


TABLE = "clips.csv"
"""Name of a table of clips."""


class ListedOptions(base.Options):
    """Options of a reader of `mmcl.settings.tables.LISTED`, which takes its clips from a table."""

    clips: base.Text = Field(
        TABLE,
        description="The table of clips, from the folder of skeletons (of videos where there are none); one of another "
        "name that is not there, from the working directory.",
    )

    def table(self, folder: Path) -> Path:
        """The table of clips of a data set in `folder`."""
        inside, outside = folder / self.clips, Path(self.clips)
        elsewhere = self.clips != TABLE and not inside.is_file() and outside.is_file()
        return outside if elsewhere else inside


class Reader(Protocol):
    """One data set on disk. A class per data set, listed in `mmcl.settings.tables.READERS`.

    A class may have a further method `raw_clip`, see `mmcl.audit.source.RawReader`, and further attributes:

    - `reads_file`: true where `skeletons` is one file and not a folder;
    - `skeleton_suffixes`, `video_suffixes`: lower-case endings of the names of its files; without them every file in
      the folders counts as a recording in `mmcl.datasets.stamps`;
    - `lists_content`: true where `list_clips` reads the content of the skeleton files and not only their names.

    Attributes:
        layout: joint layout of its skeletons.
        persons: most people in a clip.
        what_belongs: what its folders hold and where it comes from, for messages.
        two_person_actions: class ids in which two people act together.
        Options: the model of the options it takes.
    """

    what_belongs: ClassVar[str]
    Options: ClassVar[type[base.Options]]

    # constants of the class, or set by its options
    @property
    def layout(self) -> str: ...
    @property
    def persons(self) -> int: ...
    @property
    def two_person_actions(self) -> frozenset[str]: ...

    def __init__(self, skeletons: Path | None, videos: Path | None, options: Any): ...

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
            UserError: the recording cannot be used; the message gives the reason.
        """

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, V, 2) float32 px in a video picture of width × height, for every recorded frame.

        T counts every frame of the recording, also those that cleaning drops. NaN where unknown.

        Raises:
            UserError: as `read_clip`.
        """
