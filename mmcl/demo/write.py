"""Write recordings in the data sets' own forms: NTU's `.skeleton` text, UTD-MHAD's `.mat`, and video."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mmcl.demo.camera import Camera
from mmcl.demo.kinect import TrackedBody
from mmcl.demo.kinematics import Array, unit
from mmcl.errors import UserError
from mmcl.files import written
from mmcl.video.decode import Recording

DEPTH_FOCAL, DEPTH_MIDDLE = 365.0, (256.0, 212.0)
"""Kinect v2's depth camera (512x424)."""

PARENTS = (0, 1, 21, 3, 21, 5, 6, 7, 21, 9, 10, 11, 1, 13, 14, 15, 1, 17, 18, 19, 2, 8, 8, 12, 12)
"""Parent of each NTU joint (1-based; 0 for the root)."""

LEAVES = (4, 16, 20, 22, 23, 24, 25)
"""Joints for which Kinect reports no orientation."""

_JOINT = " ".join(["%.7g"] * 11) + " %d\n"
_BODY = "25\n" + _JOINT * 25


def orientations(joints: Array) -> Array:
    """Quaternions w x y z (T, 25, 4) that turn the y axis along each bone; zeros at the ends."""
    parents = np.maximum(np.array(PARENTS), 1) - 1
    bone = unit(joints - joints[:, parents])
    quaternion = np.stack([1 + bone[..., 1], bone[..., 2], np.zeros(bone.shape[:2]), -bone[..., 0]], -1)
    quaternion /= np.maximum(np.linalg.norm(quaternion, axis=-1, keepdims=True), 1e-6)
    quaternion[:, 0] = (1, 0, 0, 0)
    quaternion[:, np.array(LEAVES) - 1] = 0
    return quaternion


def skeleton_text(bodies: list[TrackedBody], view: Camera) -> str:
    """NTU RGB+D's `.skeleton` text; colour coordinates are pixels of the drawn video.

    Args:
        bodies: as reported by the sensor, T frames each.
        view: the colour camera, whose axes the joints are in.
    """
    rows = []
    for body in bodies:
        depth = DEPTH_FOCAL * body.joints[..., :2] * (1, -1) / body.joints[..., 2:] + DEPTH_MIDDLE
        parts = [
            body.joints,
            depth,
            view.project(body.joints),
            orientations(body.joints),
            body.states[..., None],
        ]
        rows.append(np.concatenate(parts, -1).reshape(len(body.present), -1))
    frames = len(bodies[0].present)
    text = [f"{frames}\n"]
    for t in range(frames):
        seen = [k for k, body in enumerate(bodies) if body.present[t]]
        text.append(f"{len(seen)}\n")
        for k in seen:
            spread = bodies[k].joints[t, 3] - bodies[k].joints[t, 0]
            text.append(f"{bodies[k].identity} 0 1 1 1 1 0 {spread[0]:.7g} {-spread[2]:.7g} 2\n")
            text.append(_BODY % tuple(rows[k][t].tolist()))
    return "".join(text)


def write_mat(path: Path, joints: Array) -> None:
    """UTD-MHAD's skeleton file: `d_skel` float64 (20, 3, T) from joints (T, 20, 3), metres."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"d_skel": np.ascontiguousarray(joints.transpose(1, 2, 0), np.float64)})
    # the first 116 bytes are free text, into which SciPy writes the time of day
    with written(path) as temporary:
        temporary.write_bytes(b"MATLAB 5.0 MAT-file, drawn by mmcl".ljust(116) + buffer.getvalue()[116:])


def write_video(path: Path, pictures: Iterable[Array], size: tuple[int, int], fps: float) -> None:
    """Motion-JPEG AVI of RGB pictures (H, W, 3) uint8.

    Raises:
        UserError: the file cannot be written, or not all of it.
    """
    import cv2

    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, size)
    if not writer.isOpened():
        raise UserError(f"{path}: the video cannot be written; is the disk full? Free space and run again")
    count = 0
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        count += 1
    writer.release()
    # the writer says nothing about a full disk
    if not _is_whole(path, count):
        raise UserError(
            f"{path}: the video was not written whole; is the disk full? Free space and run again"
        )


def _is_whole(path: Path, frames: int) -> bool:
    try:
        return Recording(path).frames == frames
    except UserError:
        return False
