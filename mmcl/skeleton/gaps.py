"""Joints that are unknown for some frames."""

import numpy as np


def fill_gaps(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Interpolate every unknown joint in time between the frames that know it; beyond them the nearest one holds.

    Args:
        joints: (T, V, C), one person.
        known: (T, V) bool.

    Returns:
        (T, V, C) of the same type; a joint that no frame knows is as it was.
    """
    filled = joints.copy()
    frames = np.arange(len(joints))
    for joint in range(joints.shape[1]):
        sure = known[:, joint]
        if not sure.any() or sure.all():
            continue
        for axis in range(joints.shape[2]):
            filled[:, joint, axis] = np.interp(frames, frames[sure], joints[sure, joint, axis])
    return filled
