"""Finding the people in a picture: the sources of boxes behind one signature."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mmcl.datasets import ClipEntry, Reader
from mmcl.datasets.listing import read_recording
from mmcl.device import pick_device
from mmcl.errors import UserError
from mmcl.settings.video import CropSettings, DetectorSettings
from mmcl.video import boxes, detect

log = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A frame of a clip.

    Attributes:
        entry: the clip.
        frame: the frame's number in the recording.
        frames: the number of frames of the recording.
        image: (H, W, 3) uint8.
    """

    entry: ClipEntry
    frame: int
    frames: int
    image: np.ndarray


Locate = Callable[[Sequence[Picture]], list[np.ndarray]]
"""Pictures → per picture people (n, 5): box and confidence, best first."""


def open_source(settings: CropSettings, reader: Reader, threads: int) -> Locate:
    """The source of boxes that the setting `boxes` names.

    Args:
        settings: a data set's video settings.
        reader: of that data set.
        threads: of the detector's network.

    Raises:
        UserError: the detector cannot be opened.
    """
    match settings.boxes:
        case "detector":
            return _detector(settings.detector, threads)
        case "projected_joints":
            return _projected_joints(reader, settings.margin)
        case "whole_frame":
            return _whole_frame


def _detector(settings: DetectorSettings, threads: int) -> Locate:
    import torch  # takes seconds, and the other sources do not need it

    torch.set_num_threads(max(1, threads))
    detector = detect.open_detector(settings, pick_device())
    return lambda pictures: detector.people([picture.image for picture in pictures])


def _whole_frame(pictures: Sequence[Picture]) -> list[np.ndarray]:
    return [boxes.whole_frame(p.image.shape[1], p.image.shape[0]) for p in pictures]


def _projected_joints(reader: Reader, margin: float) -> Locate:
    def locate(pictures: Sequence[Picture]) -> list[np.ndarray]:
        joints: dict[str, np.ndarray] = {}
        return [around(picture, joints) for picture in pictures]

    def around(picture: Picture, joints: dict[str, np.ndarray]) -> np.ndarray:
        height, width = picture.image.shape[:2]
        name = picture.entry.name
        if name not in joints:
            try:
                joints[name] = read_recording(
                    lambda entry: reader.pixel_joints(entry, width, height), picture.entry
                )
            except UserError as error:
                log.warning("%s: no joints for a box (%s)", name, error)
                joints[name] = np.empty((0, 0, 0, 2), np.float32)
        clip = joints[name]
        if not len(clip):
            return boxes.from_joints(np.empty((0, 0, 2), np.float32), width, height)
        # the colour camera may have another frame rate than the skeleton: the same moment, not the same number
        moment = (2 * picture.frame + 1) * len(clip) // (2 * picture.frames)
        return boxes.from_joints(clip[min(moment, len(clip) - 1)], width, height, margin)

    return locate
