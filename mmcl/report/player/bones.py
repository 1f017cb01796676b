"""A skeleton drawn on a picture at given places."""

import numpy as np

from mmcl.layouts import get_layout
from mmcl.report.player.colours import LEFT, MIDDLE, UNSURE, of_person, rgb, sides
from mmcl.report.player.shown import Skeleton

SURE = 0.3
"""Confidence of a joint below which it is drawn grey."""
SHIFT = 4
"""OpenCV takes places in 1/16 of a pixel."""
FAR = 20_000
"""Pixels. Places beyond are as good as outside the picture, and OpenCV's numbers would overflow."""


def draw_people(
    image: np.ndarray, places: np.ndarray, skeleton: Skeleton, frame: int, thick: int, halo: bool = False
) -> None:
    """Draw the people of a frame on a picture (H, W, 3) uint8, in the picture itself.

    Left limbs are light and their joints rings, right limbs dark and their joints discs; the hue is the person's.

    Args:
        image: the picture.
        places: (M, V, 2) pixels, NaN where a joint has none.
        skeleton: whose joints they are.
        frame: which one.
        thick: pixels of a bone.
        halo: whether bones have a white edge, to be seen on a photograph.
    """
    import cv2

    layout = get_layout(skeleton.layout)
    side = sides(layout)
    here = skeleton.known[frame] & np.isfinite(places).all(-1)
    at = np.clip(np.where(here[..., None], places, 0), -FAR, FAR)
    at = np.round(at * (1 << SHIFT)).astype(int)
    for person in range(len(places)):
        hue, own, there = of_person(person), at[person], here[person]
        sure = np.ones(len(layout)) if skeleton.confidence is None else skeleton.confidence[frame, person]
        bones = [(child, parent) for child, parent in layout.edges if there[child] and there[parent]]
        if halo:
            for child, parent in bones:
                _line(image, own[child], own[parent], (255, 255, 255), thick + 2)
        for child, parent in bones:
            certain = min(sure[child], sure[parent]) >= SURE
            _line(image, own[child], own[parent], rgb(hue[side[child]] if certain else UNSURE), thick)
        for joint in np.flatnonzero(there):
            colour = rgb(hue[side[joint]] if sure[joint] >= SURE else UNSURE)
            centre, radius = own[joint].tolist(), (thick + 1) << SHIFT
            cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA, SHIFT)
            if side[joint] == LEFT:
                cv2.circle(image, centre, radius // 2, (255, 255, 255), -1, cv2.LINE_AA, SHIFT)
        if len(places) > 1 and there.any():
            highest = own[there][own[there][:, 1].argmin()] >> SHIFT
            place = int(highest[0]) - 5, int(highest[1]) - 8
            cv2.putText(
                image, str(person + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 4, cv2.LINE_AA
            )
            cv2.putText(
                image, str(person + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, rgb(hue[MIDDLE]), 1, cv2.LINE_AA
            )


def _line(
    image: np.ndarray, one: np.ndarray, other: np.ndarray, colour: tuple[int, int, int], thick: int
) -> None:
    import cv2

    cv2.line(image, one.tolist(), other.tolist(), colour, thick, cv2.LINE_AA, SHIFT)
