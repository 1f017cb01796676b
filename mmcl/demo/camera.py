"""Pinhole cameras of the drawn demo, placed as in NTU RGB+D: one in front, one on each side."""

from dataclasses import dataclass

import numpy as np

from mmcl.demo.kinematics import Array
from mmcl.demo.seeding import generator

KINECT_COLOUR_FOCAL = 1063.0 / 1920
"""Focal length of Kinect v2's colour camera per pixel of picture width (about 84° across)."""

UTD_FOCAL = 285.63 / 240
"""Focal length per pixel of picture height with which UTD-MHAD's skeletons project onto its 320x240 pictures."""


@dataclass(frozen=True)
class Camera:
    """A camera in world coordinates.

    Attributes:
        position: (3,) metres.
        axes: (3, 3); rows are the camera's x (right in the picture), y (up) and z (away) in the world.
        focal: pixels.
        size: (width, height) pixels.
    """

    position: Array
    axes: Array
    focal: float
    size: tuple[int, int]

    def to_camera(self, points: Array) -> Array:
        """World points (…, 3) -> camera coordinates (…, 3), metres."""
        seen: Array = (points - self.position) @ self.axes.T
        return seen

    def project(self, points: Array) -> Array:
        """Camera coordinates (…, 3) -> pixels (…, 2), x right and y down; the optical axis is the middle."""
        depth = np.maximum(points[..., 2:], 0.05)
        flipped = points[..., :2] * np.array([1.0, -1.0])
        pixels: Array = self.focal * flipped / depth + np.array([self.size[0], self.size[1]]) / 2
        return pixels


def place_camera(seed: int, form: str, setup: int, camera: int, size: tuple[int, int]) -> Camera:
    """The camera of a setup: its number decides the side, the setup its height, distance and tilt.

    Args:
        seed: seed of the data set.
        form: "ntu" or "utd_mhad"; the latter has one frontal Kinect v1.
        setup: setup number.
        camera: 1 frontal, 2 and 3 turned by 30 to 45 degrees.
        size: (width, height) in pixels.
    """
    rng = generator("camera", seed, form, setup, camera)
    side = {1: 0.0, 2: 1.0, 3: -1.0}[camera]
    angle = np.radians(side * rng.uniform(30, 45) + rng.uniform(-4, 4))
    if form == "utd_mhad":
        angle, distance, height, focal = (
            angle * 2,
            rng.uniform(3.35, 3.5),
            rng.uniform(1.05, 1.15),
            UTD_FOCAL * size[1],
        )
    else:
        distance, height, focal = (
            rng.uniform(2.5, 2.85),
            rng.uniform(1.15, 1.5),
            KINECT_COLOUR_FOCAL * size[0],
        )
    position = np.array([distance * np.sin(angle), height, -distance * np.cos(angle)])
    level = 1.20 if form == "utd_mhad" else 1.06
    aim = np.array([rng.uniform(-0.08, 0.08), level + rng.uniform(-0.05, 0.05), 0.0])
    away = (aim - position) / np.linalg.norm(aim - position)
    roll = np.radians(rng.normal(0, 0.6))
    up = np.array([np.sin(roll), np.cos(roll), 0.0])
    right = np.cross(up, away)
    right /= np.linalg.norm(right)
    return Camera(position, np.stack([right, np.cross(away, right), away]), focal, size)
