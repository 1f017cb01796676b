"""UTD-MHAD (Chen, Jafari and Kehtarnavaz, ICIP 2015): 27 actions, 8 subjects, 4 trials, Kinect v1."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import ClipEntry, hold_positions
from mmcl.datasets.files import find_recordings, numbered_names
from mmcl.datasets.mat_file import read_joints
from mmcl.datasets.one_person import one_person
from mmcl.errors import UserError
from mmcl.settings import base

NAME = re.compile(r"a(\d{1,3})_s(\d{1,3})_t(\d{1,3})")
JOINTS = 20
NEAREST = 0.1
"""Metres; a Kinect measures nothing nearer."""


class UtdMhadOptions(base.Options):
    """Options of the reader `utd_mhad`.

    The camera's defaults are those of a Kinect v1's depth camera: 90 to 97 % of the joints then lie on the person.
    """

    modality: Literal["color", "depth"] = Field("color", description="Which videos to use.")
    focal_length: base.Positive = Field(
        285.63,
        description="For projected_joints: focal length in pixels of the picture of picture_size.",
    )
    principal_point: base.Pair[float] = Field(
        (160.0, 120.0),
        description="For projected_joints: where the optical axis meets that picture, x and y in pixels.",
    )
    picture_size: base.Pair[Annotated[int, Field(ge=1)]] = Field(
        (320, 240),
        description="For projected_joints: width and height of that picture; the depth camera's by default.",
    )


class UtdMhadReader:
    """`a1_s1_t1_skeleton.mat` files (`d_skel`, 20 × 3 × T) with videos, in any sub-folders."""

    layout: ClassVar[str] = "utd20"
    persons: ClassVar[int] = 1
    what_belongs: ClassVar[str] = (
        "UTD-MHAD skeletons (a1_s1_t1_skeleton.mat) and videos (…_color.avi or …_depth.mp4), unpacked into"
        " any sub-folders; from the University of Texas at Dallas, free for research"
    )
    two_person_actions: ClassVar[frozenset[str]] = frozenset()
    Options: ClassVar[type[base.Options]] = UtdMhadOptions
    skeleton_suffixes: ClassVar[tuple[str, ...]] = ("_skeleton.mat",)
    video_suffixes: ClassVar[tuple[str, ...]] = (".avi", ".mp4")

    def __init__(self, skeletons: Path, videos: Path | None, options: UtdMhadOptions):
        self.skeletons = skeletons
        self.videos = videos
        self.options = options

    def class_names(self) -> dict[str, str]:
        """`a1` … `a27` → name."""
        return numbered_names("utd_mhad/actions.txt", "a", 0)

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. There is one camera and one setup."""
        skeletons = find_recordings(self.skeletons, self.skeleton_suffixes)
        if not skeletons:
            raise UserError(f"{self.skeletons}: no …_skeleton.mat file in it or below. {self.what_belongs}")
        ending = f"_{self.options.modality}"
        videos = find_recordings(self.videos, (f"{ending}.avi", f"{ending}.mp4")) if self.videos else {}
        return [self._entry(name, skeletons[name], videos.get(name, "")) for name in sorted(skeletons)]

    def _entry(self, name: str, skeleton: str, video: str) -> ClipEntry:
        match = NAME.fullmatch(name)
        if not match:
            return ClipEntry(
                name, "", 0, 0, 0, None, skeleton, video, "name is not a<action>_s<subject>_t<trial>"
            )
        action, subject, _ = map(int, match.groups())
        return ClipEntry(name, f"a{action}", subject, 1, 1, None, skeleton, video, "")

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, 1, 20, 3), without the frames that hold no position."""
        return one_person(self.skeletons / entry.skeleton, self._joints(entry), self.layout)

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, 1, 20, 3) metres, camera space, every frame of the file, NaN included."""
        return self._joints(entry)[:, None]

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, 1, 20, 2): u = cx + f x/z, v = cy − f y/z on a picture of `picture_size`, scaled to the video.

        Exact for the depth videos. The colour camera is 2.5 cm beside the depth camera and has another
        angle of view: for it, give its own `focal_length`, `principal_point` and `picture_size`.
        """
        joints = self._joints(entry)
        joints = np.where(hold_positions(joints)[:, None, None], joints, np.nan)
        x, y, z = np.moveaxis(joints, -1, 0)
        z = np.where(z > NEAREST, z, np.nan)
        centre_x, centre_y = self.options.principal_point
        focal = self.options.focal_length
        pixels = np.stack([centre_x + focal * x / z, centre_y - focal * y / z], axis=-1)
        scale = np.array([width, height]) / np.array(self.options.picture_size)
        scaled: np.ndarray = (pixels * scale)[:, None]
        return scaled.astype(np.float32)

    def _joints(self, entry: ClipEntry) -> np.ndarray:
        """(T, 20, 3) float64 metres, camera space."""
        return read_joints(self.skeletons / entry.skeleton, "d_skel", JOINTS, (3,))
