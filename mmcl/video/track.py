"""Tracking people through the frames of a video, see `mmcl.skeleton.tracking`."""

from collections.abc import Sequence

import numpy as np

from mmcl.skeleton.tracking import Piece, arranged, link
from mmcl.video.pose import KEYPOINTS, People

CANDIDATES = 8
"""People per frame that are considered, the most confident ones."""
LEAST = 0.1
"""Part of the frames in which a person must be found; a shorter track is an error or a passer-by."""


def follow(frames: Sequence[People], most: int) -> np.ndarray:
    """The poses of at most `most` people of a clip, each person with the same index in all frames.

    A person who is absent for more than `tracking.PATIENCE` frames begins a new track, which may get the same index if
    that is free.

    Args:
        frames: the people of each frame.
        most: people kept: those with the greatest confidence, summed over frames.

    Returns:
        (T, M, 17, 3), M ≤ most; all zero where a person is not seen. M is 0 if nobody is seen.
    """
    pieces: list[Piece] = []
    confidence: list[float] = []
    for number, people in enumerate(frames):
        for slot, (box, pose) in enumerate(
            zip(people.boxes[:CANDIDATES], people.keypoints[:CANDIDATES], strict=True)
        ):
            height = max(float(box[3] - box[1]), 1.0)
            pieces.append(Piece(np.array([number]), pose[None, :, :2], pose[None, :, 2], height, slot))
            confidence.append(float(box[4]))
    tracks = link(pieces)
    seen = len({int(piece.frames[0]) for piece in pieces})
    kept = [track for track in tracks if len(track) >= LEAST * seen]
    kept.sort(key=lambda track: -sum(confidence[i] for i in track))
    shown = [np.concatenate([pieces[i].frames for i in track]) for track in kept]
    places = arranged(shown, most)
    poses = np.zeros(
        (len(frames), max((p + 1 for p in places if p is not None), default=0), KEYPOINTS, 3), np.float32
    )
    for place, track in zip(places, kept, strict=True):
        for i in track if place is not None else ():
            number = int(pieces[i].frames[0])
            poses[number, place] = frames[number].keypoints[pieces[i].slot]
    return poses
