"""A world of bright rectangles on black: recordings, a data set of them, and a detector that finds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmcl.datasets.clip import ClipEntry
from mmcl.settings import base
from mmcl.settings.video import DetectorSettings
from mmcl.video import detect

RED, GREEN = (255, 0, 0), (0, 255, 0)


def draw(*people: tuple[int, int, int, int], size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A black picture with the first rectangle (x1, y1, x2, y2) in red and the second in green."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for (x1, y1, x2, y2), colour in zip(people, (RED, GREEN), strict=False):
        picture[y1:y2, x1:x2] = colour
    return picture


def write_video(path: Path, images: Sequence[np.ndarray]) -> Path:
    """Write RGB pictures as a Motion-JPEG recording."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (width, height))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


class Detector:
    """Finds the red rectangle with confidence 0.9 and the green one with 0.6.

    Attributes:
        calls: pictures per call, of all detectors.
        patience: calls after which it raises KeyboardInterrupt.
    """

    what_belongs = detect.WHAT_BELONGS
    calls: ClassVar[list[int]] = []
    patience: ClassVar[int] = 10**9

    def __init__(self, settings: DetectorSettings, device: object):
        pass

    def people(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        if len(self.calls) >= self.patience:
            raise KeyboardInterrupt
        self.calls.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> np.ndarray:
        found = []
        for channel, confidence in ((0, 0.9), (1, 0.6)):
            y, x = np.nonzero(image[..., channel] > 128)
            if len(x):
                found.append([x.min(), y.min(), x.max() + 1, y.max() + 1, confidence])
        return np.array(found, np.float32).reshape(-1, 5)


class Reader:
    """A data set of such recordings; two joints lie on the corners of a box that moves one pixel a frame."""

    layout, persons, what_belongs = "ntu25", 2, "recordings of rectangles"
    two_person_actions = frozenset({"A050"})
    Options = base.Options

    def __init__(self, skeletons: Path, videos: Path | None, options: base.Options):
        pass

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        corners = np.array([[[10, 10], [20, 30]], [[np.nan, np.nan]] * 2], np.float32)
        return np.stack([corners + np.array([t, 0]) for t in range(10)])


def entry(name: str, action: str = "A001", video: str | None = None, left_out: str = "") -> ClipEntry:
    """An entry of the index; its recording is `<name>.avi` unless `video` names another."""
    video = f"{name}.avi" if video is None else video
    return ClipEntry(name, action, 1, 1, 1, None, "", video, left_out)
