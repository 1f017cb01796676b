"""Tracking people through the frames of a clip: which person of a frame is which of the frames before."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmcl.video.pose import KEYPOINTS, People

CANDIDATES = 8
"""People per frame that are considered, the most confident ones."""
FAR = 0.5
"""Mean distance of two poses' keypoints above which they are different people, in heights of the earlier one's box."""
PATIENCE = 10
"""Frames after which a track that is not continued ends."""
LEAST = 0.1
"""Part of the frames in which a person must be found; a shorter track is an error or a passer-by."""


@dataclass
class BoxTrack:
    """A person over time: frame numbers, poses (17, 3), the last box, and the sum of the confidences."""

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
    """The poses of at most `most` people of a clip, each person with the same index in all frames.

    From frame to frame people are assigned to those seen before so that the distances of their keypoints are
    least in sum (Hungarian method). A person who is absent for more than PATIENCE frames begins a new track, which
    may get the same index if that is free.

    Args:
        frames: the people of each frame.
        most: people kept: those with the greatest confidence, summed over frames.

    Returns:
        (T, M, 17, 3), M ≤ most; all zero where a person is not seen. M is 0 if nobody is seen.
    """
    tracks: list[BoxTrack] = []
    for number, people in enumerate(frames):
        active = [track for track in tracks if number - track.frames[-1] <= PATIENCE]
        boxes, poses = people.boxes[:CANDIDATES], people.keypoints[:CANDIDATES]
        taken = _assign(active, poses)
        for i, (box, pose) in enumerate(zip(boxes, poses, strict=True)):
            if i not in taken:
                tracks.append(BoxTrack())
            (active[taken[i]] if i in taken else tracks[-1]).add(number, pose, box)
    seen = len({number for track in tracks for number in track.frames})
    kept = [track for track in tracks if len(track.frames) >= LEAST * seen]
    return _arranged(sorted(kept, key=lambda track: -track.weight), len(frames), most)


def _assign(active: list[BoxTrack], poses: np.ndarray) -> dict[int, int]:
    """Number of a pose → number of the track that it continues."""
    from scipy.optimize import linear_sum_assignment

    if not active or not len(poses):
        return {}
    before = np.stack([track.poses[-1] for track in active])
    # weighted by the product of both confidences
    sure = before[:, None, :, 2] * poses[None, :, :, 2] + 1e-6
    apart = np.linalg.norm(before[:, None, :, :2] - poses[None, :, :, :2], axis=-1)
    heights = np.array([max(track.box[3] - track.box[1], 1.0) for track in active])
    cost = (apart * sure).sum(-1) / sure.sum(-1) / heights[:, None]
    # bounded, so that a pair that is too far apart does not change the assignment of the others
    rows, columns = linear_sum_assignment(np.minimum(cost, FAR))
    return {int(c): int(r) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FAR}


def _arranged(tracks: list[BoxTrack], frames: int, most: int) -> np.ndarray:
    """Give each track, best first, the first index that is free in all of its frames."""
    poses = np.zeros((frames, most, KEYPOINTS, 3), np.float32)
    busy = np.zeros((frames, most), bool)
    for track in tracks:
        free = np.flatnonzero(~busy[track.frames].any(0))
        if len(free):
            poses[track.frames, free[0]] = track.poses
            busy[track.frames, free[0]] = True
    return poses[:, busy.any(0)]
