"""Where joints lie in a drawing: parallel projections along the axes of the data."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmcl.report.player.shown import Skeleton

AXES = {"front": (0, 1), "side": (2, 1), "top": (0, 2)}
"""View → which axes of the data go to the right and up. `front` is what the camera sees."""

ODD = 0.002
"""Part of the joints, at either end of an axis, that the drawing need not reach: single joints far away would make the
bodies too small to see."""

ROOM = 1.25
"""Edge of the drawing by that of the bodies: titles and numbers stand above heads."""


class Space(NamedTuple):
    """The cube that a drawing shows.

    Attributes:
        centre: (3).
        half: half of its edge.
        low: (3) where the lowest joints are.
    """

    centre: np.ndarray
    half: float
    low: np.ndarray


def space_of(skeletons: Sequence[Skeleton]) -> Space:
    """The cube that holds everybody in all frames."""
    points = np.concatenate([one.joints[one.known] for one in skeletons])
    if not len(points):
        return Space(np.zeros(3), 1.0, np.zeros(3))
    low, high = np.quantile(points.astype(np.float64), (ODD, 1 - ODD), axis=0)
    half = float(max(high - low)) / 2 or 1.0
    return Space((low + high) / 2, ROOM * half, low)


def project(points: np.ndarray, view: str, space: Space, size: int) -> np.ndarray:
    """Joints (…, 3) as places (…, 2) in pixels of a square picture, x to the right and y down."""
    right, up = AXES[view]
    scale = size / (2 * space.half)
    across = (points[..., right] - space.centre[right]) * scale + size / 2
    down = size / 2 - (points[..., up] - space.centre[up]) * scale
    return np.stack([across, down], axis=-1)


def step_of(length: float, parts: int = 4) -> float:
    """The distance of grid lines, 1, 2 or 5 times a power of ten: about `parts` of them in a length."""
    raw = length / parts
    power = 10.0 ** np.floor(np.log10(raw))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * raw))


def ticks(centre: float, half: float) -> list[float]:
    """Places of the grid lines."""
    step = step_of(2 * half)  # 0.0 is added as −0 would be written
    first, last = np.ceil((centre - half) / step), np.floor((centre + half) / step)
    return [round(float(number * step), 10) + 0.0 for number in np.arange(first, last + 1)]
