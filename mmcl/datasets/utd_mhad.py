"""UTD-MHAD (Chen, Jafari and Kehtarnavaz, ICIP 2015): 27 actions, 8 subjects, 4 trials, Kinect v1."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmcl.datasets.clip import ClipEntry, hold_positions
from mmcl.datasets.files import find_recordings, numbered_names
from mmcl.errors import UserError
from mmcl.layouts import layout

NAME = re.compile(r"a(\d{1,3})_s(\d{1,3})_t(\d{1,3})")
JOINTS = 20
MAX_FRAMES = 100_000


class UtdMhadReader:
    """`a1_s1_t1_skeleton.mat` files (`d_skel`, 20 × 3 × T) with videos, in any sub-folders."""

    layout: ClassVar[str] = "utd20"
    persons: ClassVar[int] = 1
    what_belongs: ClassVar[str] = (
        "UTD-MHAD skeletons (a1_s1_t1_skeleton.mat) and videos (…_color.avi or …_depth.mp4), unpacked into"
        " any sub-folders; from the University of Texas at Dallas, free for research"
    )
    two_person_actions: ClassVar[frozenset[str]] = frozenset()
    # the depth camera of Kinect v1; with these numbers 90-97 % of the joints fall on the person
    defaults: ClassVar[dict[str, Any]] = {
        "modality": "color",
        "focal_length": 285.63,
        "principal_point": [160, 120],
        "picture_size": [320, 240],
    }

    def __init__(self, skeletons: Path, videos: Path | None, options: dict[str, Any]):
        self.skeletons = skeletons
        self.videos = videos
        self.options = {**self.defaults, **options}
        if self.options["modality"] not in ("color", "depth"):
            raise UserError(f"options.modality: {self.options['modality']!r} is not color or depth")

    def class_names(self) -> dict[str, str]:
        """`a1` … `a27` → name."""
        return numbered_names("utd_mhad/actions.txt", "a", 0)

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. There is one camera and one setup."""
        skeletons = find_recordings(self.skeletons, ("_skeleton.mat",))
        if not skeletons:
            raise UserError(f"{self.skeletons}: no …_skeleton.mat file in it or below. {self.what_belongs}")
        ending = f"_{self.options['modality']}"
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
        from mmcl.skeleton.cleaning import centred

        joints = self._joints(entry)
        usable = hold_positions(joints)
        if not usable.any():
            raise UserError(f"{self.skeletons / entry.skeleton}: no frame with finite joints")
        people = joints[usable, None].astype(np.float32)
        return centred(people, np.ones(people.shape[:2], bool), layout(self.layout).centre)

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, 1, 20, 2): u = cx + f x/z, v = cy − f y/z on a picture of `picture_size`, scaled to the video.

        Exact for the depth videos. The colour camera stands 2.5 cm beside the depth camera and sees another
        angle: for it, give its own `focal_length`, `principal_point` and `picture_size`.
        """
        x, y, z = np.moveaxis(self._joints(entry), -1, 0)
        z = np.where(z > 0, z, np.nan)
        centre_x, centre_y = self.options["principal_point"]
        focal = self.options["focal_length"]
        pixels = np.stack([centre_x + focal * x / z, centre_y - focal * y / z], axis=-1)
        scale = np.array([width, height]) / np.array(self.options["picture_size"])
        return (pixels * scale)[:, None].astype(np.float32)

    def _joints(self, entry: ClipEntry) -> np.ndarray:
        """(T, 20, 3) float64 metres, camera space."""
        from scipy.io import loadmat, whosmat

        path = self.skeletons / entry.skeleton
        # the header alone first: what it promises is checked before anything is allocated
        found = _told(path, lambda: [shape for name, shape, _ in whosmat(path) if name == "d_skel"])
        if not found:
            raise UserError(f"{path}: has no variable d_skel")
        # MATLAB drops a last dimension of 1
        shape = (*found[0], 1) if len(found[0]) == 2 else found[0]
        if len(shape) != 3 or shape[:2] != (JOINTS, 3) or not 0 < shape[2] <= MAX_FRAMES:
            raise UserError(f"{path}: d_skel is {'×'.join(map(str, shape))}, expected {JOINTS}×3×frames")
        joints = _told(path, lambda: loadmat(path, variable_names=["d_skel"])["d_skel"])
        if joints.dtype.kind not in "fiu":
            raise UserError(f"{path}: d_skel holds {joints.dtype}, expected numbers")
        return joints.reshape(shape).transpose(2, 0, 1).astype(np.float64)


def _told(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` gives; what goes wrong as a UserError."""
    try:
        return read()
    except Exception as error:  # scipy lets through whatever the damage causes
        cause = error or type(error).__name__
        raise UserError(f"{path}: cannot be read as a MATLAB file ({cause})") from None
