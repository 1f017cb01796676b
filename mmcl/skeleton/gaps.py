"""Joints that are unknown in some frames."""

from collections.abc import Sequence

import numpy as np

NEAR = 0.25
"""How far outside a body its origin may lie, as a part of the body's greatest extent."""


def are_scores(third: np.ndarray) -> bool:
    """Whether a third column, of any shape, can be confidences: within 0 … 1 and not all zero; NaN does not count."""
    known = third[np.isfinite(third)]
    return bool(known.any() and known.min() >= 0 and known.max() <= 1)


def unseen(joints: np.ndarray, centres: Sequence[int]) -> np.ndarray:
    """Joints that are exactly zero because an estimator did not see them, while it saw others of the person.

    Zero is a place for one joint of a person only, the one that the clip was centred on. That is a joint which is zero
    in all of the person's frames, the only one or one of `centres`; or one of `centres` which is zero in the first of
    them alone. There are no such joints where no coordinate is negative, as in pictures, and where zero is not near the
    body.

    Args:
        joints: (T, M, V, C); all zero or NaN where a person is absent.
        centres: joints that a clip may be centred on.

    Returns:
        (T, M, V) bool.
    """
    zero: np.ndarray = (joints == 0).all(-1)
    present = (~zero & np.isfinite(joints).all(-1)).any(-1)
    zero &= present[..., None]
    signed = bool((joints < 0).any())
    for person in np.flatnonzero(zero.any((0, 2)) & signed):
        own = zero[present[:, person], person]
        first = joints[np.argmax(present[:, person]), person]
        if not own[0].any() or not _near_origin(first[~own[0]]):
            continue
        always = np.flatnonzero(own.all(0)).tolist()
        named = [joint for joint in centres if joint in always]
        once = [joint for joint in centres if own[0, joint] and own[:, joint].sum() == 1]
        origin = named or (always if len(always) == 1 else once)
        if origin:
            zero[:, person, origin[0]] = False
    return zero


def _near_origin(points: np.ndarray) -> bool:
    """Whether zero lies in or near the box around points (n, C); NaN does not count."""
    points = points[np.isfinite(points).all(-1)]
    low, high = points.min(0), points.max(0)
    around = NEAR * (high - low).max()
    return bool((low - around <= 0).all() and (high + around >= 0).all())


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
