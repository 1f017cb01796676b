"""Joints that are unknown in some frames."""

import numpy as np


def fill_gaps(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Interpolate unknown joints linearly in time between their known frames; beyond them the nearest is repeated.

    Args:
        joints: (T, V, C), one person.
        known: (T, V) bool.

    Returns:
        (T, V, C) of the same type; a joint that is known in no frame is unchanged.
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
