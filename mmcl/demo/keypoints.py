"""COCO's 17 keypoints of a drawn person, the targets of the pose estimator."""

import numpy as np

from mmcl.demo.actor import LEFT, RIGHT, Actor
from mmcl.demo.kinematics import Array

NOSE, EYE, EAR = (0.0, -0.02, -0.10), (0.033, 0.018, -0.081), (0.079, -0.005, 0.015)
"""Positions on a head of usual size, metres from the head joint; x of the right side."""
LIMBS = ((5, 9), (6, 10), (7, 11), (13, 17), (14, 18), (15, 19))
"""NTU numbers, left and right, of shoulder, elbow, wrist, hip, knee and ankle."""
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Index of each keypoint in a mirrored picture."""


def coco17(actor: Actor) -> Array:
    """Keypoints (T, 17, 3) in world metres, in COCO's order: nose, then left and right of eyes, ears and limbs.

    Args:
        actor: after `pose`.
    """
    scale = actor.body.height / 1.72

    def head(x: float, y: float, z: float) -> Array:
        return actor.head(x * scale, y * scale, z * scale)

    points = [head(*NOSE)]
    for across, up, back in (EYE, EAR):
        points += [head(side * across, up, back) for side in (LEFT, RIGHT)]
    points += [actor.joints[joint] for pair in LIMBS for joint in pair]
    return np.stack(points, 1)
