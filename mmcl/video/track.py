"""Following people through the frames of a clip: which of a frame's people is which of the frames before."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmcl.video.pose import KEYPOINTS, People

CANDIDATES = 8
"""People of a frame that are looked at, the most confident ones."""
FAR = 0.5
"""Mean distance of two poses' keypoints beyond which they are two people, in heights of the earlier one's box."""
PATIENCE = 10
"""Frames for which a person who is not found is waited for."""
LEAST = 0.1
"""Part of the frames in which a person must be found; a rarer one is a mistake, or passes by."""


@dataclass
class Track:
    """A person through time: frame numbers, poses (17, 3), the last box, and the confidences' sum."""

    frames: list[int] = field(default_factory=list)
    poses: list[np.ndarray] = field(default_factory=list)
    box: np.ndarray = field(default_factory=lambda: np.zeros(4, np.float32))
    weight: float = 0.0

    def add(self, frame: int, pose: np.ndarray, box: np.ndarray) -> None:
        """The person is seen in a frame, with `box` (5,)."""
        self.frames.append(frame)
        self.poses.append(pose)
        self.box = box[:4]
        self.weight += float(box[4])


def follow(frames: Sequence[People], most: int) -> np.ndarray:
    """The poses of at most `most` people of a clip, each person in the same place in all frames.

    From frame to frame people are assigned to those seen before so that the distances of their keypoints are
    least in sum (Hungarian method). Who stays away for PATIENCE frames and returns may take the same place again
    if it is free.

    Args:
        frames: the people of each frame.
        most: places; those with the most confidence, summed over frames, get one.

    Returns:
        (T, M, 17, 3), M ≤ most; all zero where a person is not seen. M is 0 if nobody is.
    """
    tracks: list[Track] = []
    for number, people in enumerate(frames):
        active = [track for track in tracks if number - track.frames[-1] <= PATIENCE]
        boxes, poses = people.boxes[:CANDIDATES], people.keypoints[:CANDIDATES]
        taken = _assign(active, poses)
        for i, (box, pose) in enumerate(zip(boxes, poses, strict=True)):
            if i not in taken:
                tracks.append(Track())
            (active[taken[i]] if i in taken else tracks[-1]).add(number, pose, box)
    seen = len({number for track in tracks for number in track.frames})
    kept = [track for track in tracks if len(track.frames) >= LEAST * seen]
    return _places(sorted(kept, key=lambda track: -track.weight), len(frames), most)


def _assign(active: list[Track], poses: np.ndarray) -> dict[int, int]:
    """Number of a pose → number of the track that it continues."""
    from scipy.optimize import linear_sum_assignment

    if not active or not len(poses):
        return {}
    before = np.stack([track.poses[-1] for track in active])
    # a keypoint counts as much as both are sure of it
    sure = before[:, None, :, 2] * poses[None, :, :, 2] + 1e-6
    apart = np.linalg.norm(before[:, None, :, :2] - poses[None, :, :, :2], axis=-1)
    heights = np.array([max(track.box[3] - track.box[1], 1.0) for track in active])
    cost = (apart * sure).sum(-1) / sure.sum(-1) / heights[:, None]
    # what is too far costs the same however far it is, so that it does not keep others from their own
    rows, columns = linear_sum_assignment(np.minimum(cost, FAR))
    return {int(c): int(r) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FAR}


def _places(tracks: list[Track], frames: int, most: int) -> np.ndarray:
    """Put tracks, best first, into the first place that is free in all of their frames."""
    places = np.zeros((frames, most, KEYPOINTS, 3), np.float32)
    busy = np.zeros((frames, most), bool)
    for track in tracks:
        free = np.flatnonzero(~busy[track.frames].any(0))
        if len(free):
            places[track.frames, free[0]] = track.poses
            busy[track.frames, free[0]] = True
    return places[:, busy.any(0)]
