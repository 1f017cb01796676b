"""From tracked bodies to the people of a clip, as is usual for NTU RGB+D.

The rules and numbers are those of the public preparation that CTR-GCN, HD-GCN, InfoGCN and MMCL share (first
published with SGN, Zhang et al., CVPR 2020), with two differences:

- A body keeps its true frames. The public scripts number a body's frames onwards from its first one, so that
  after a gap in its tracking it is shown too early, out of step with the other person. `pack_frames` does the
  same.
- The presence of a person is kept as a flag and not inferred from a sum of coordinates that happens to be zero.
"""

from typing import NamedTuple

import numpy as np

MIN_FRAMES = 12
"""A body of 11 frames or fewer is noise (public scripts: `noise_len_thres = 11`)."""

SPREAD = 0.8
"""A frame is implausible if a body is wider than this part of its height (`noise_spr_thres1`)."""

MAX_IMPLAUSIBLE = 0.69754
"""A body with at least this part of its frames implausible is noise, such as furniture (`noise_spr_thres2`)."""

PERSONS = 2


class Track(NamedTuple):
    """A body: (F,) ascending frame numbers and (F, V, 3) float32 joints in metres."""

    frames: np.ndarray
    joints: np.ndarray


def pack_frames(tracks: list[Track]) -> list[Track]:
    """Bodies numbered as in the public scripts: onwards from the first frame, whether or not there is a gap.

    Frames without anybody do not count.
    """
    frames = np.unique(np.concatenate([track.frames for track in tracks]))
    starts = [int(np.searchsorted(frames, track.frames[0])) for track in tracks]
    return [
        Track(np.arange(start, start + len(track.frames)), track.joints)
        for start, track in zip(starts, tracks, strict=True)
    ]


def motion(joints: np.ndarray) -> float:
    """Sum over the axes of the variance of all points (…, C): a body's movement and size together."""
    return float(joints.reshape(-1, joints.shape[-1]).var(axis=0, dtype=np.float64).sum())


def most_moving(people: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the people of (T, M, V, C), those with the most motion, as (T, M', V, C).

    If there are no more, they are as they are. Else the order of those who are kept is that of their motion too, so
    that nothing depends on the order in which they are listed.
    """
    if people.shape[1] <= most:
        return people

    def rank(person: np.ndarray) -> tuple[float, ...]:
        shown = person[(person != 0).any((1, 2))]
        return (-motion(shown), *shown.mean((0, 1)).tolist()) if len(shown) else (0.0,)

    order = sorted(range(people.shape[1]), key=lambda i: rank(people[:, i]))
    return people[:, order[:most]]


def plausible_frames(joints: np.ndarray) -> np.ndarray:
    """(F,) whether the body is at most SPREAD times as wide as it is high, joints (F, V, 3)."""
    extent = np.ptp(joints, axis=1)
    plausible: np.ndarray = extent[:, 0] <= SPREAD * extent[:, 1]
    return plausible


def choose_bodies(tracks: list[Track]) -> list[int]:
    """Numbers of the bodies that are people, the one with the most motion first.

    The only body of a clip is taken as it is. The last body is never dropped: where all are too short, the
    longest stays.
    """
    if len(tracks) == 1:
        return [0]
    longest = max(range(len(tracks)), key=lambda i: len(tracks[i].frames))
    left = [i for i, track in enumerate(tracks) if len(track.frames) >= MIN_FRAMES] or [longest]
    if len(left) == 1:
        return left
    amount = {i: motion(tracks[i].joints) for i in left}
    for i in list(left):
        if len(left) == 1:
            break
        good = plausible_frames(tracks[i].joints)
        if 1 - good.mean() >= MAX_IMPLAUSIBLE:
            left.remove(i)
        elif not good.all():
            amount[i] = min(amount[i], motion(tracks[i].joints[good]))
    return sorted(left, key=lambda i: -amount[i])


def assign_actors(tracks: list[Track], order: list[int]) -> list[list[int]]:
    """Bodies put into at most two people: lists of body numbers, one per person.

    In the order given, a body that does not overlap person 1 in time continues person 1 (a person whom the
    sensor lost and found again has a new id); else the same is tried with person 2; else it is discarded. A
    touch in one frame does not count as overlap, and there the later body counts. Person 2's time starts at
    frame 0, as in the public scripts.
    """
    first = tracks[order[0]].frames
    spans = [[first[0], first[-1]], [0, 0]]
    actors: list[list[int]] = [[order[0]], []]
    for i in order[1:]:
        start, end = tracks[i].frames[0], tracks[i].frames[-1]
        for span, actor in zip(spans, actors, strict=True):
            if min(span[1], end) - max(span[0], start) <= 0:
                actor.append(i)
                span[:] = min(span[0], start), max(span[1], end)
                break
    return [actor for actor in actors if actor]


def find_actors(tracks: list[Track]) -> list[list[int]]:
    """The people of a clip: at most two lists of body numbers, the one with the most motion first."""
    frames = np.unique(np.concatenate([track.frames for track in tracks]))
    # a frame without anybody does not count when spans are compared
    numbered = [Track(np.searchsorted(frames, track.frames), track.joints) for track in tracks]
    return assign_actors(numbered, choose_bodies(numbered))


def clean(tracks: list[Track], centre: int) -> np.ndarray:
    """People of a clip from its tracked bodies, empty frames dropped, centred.

    Args:
        tracks: bodies in order of appearance, at least one, each with at least one frame.
        centre: the joint whose first position becomes the origin.

    Returns:
        (T, M, V, 3) float32 metres; M is 1 or 2; a person who is absent from a frame is all zero there.
    """
    actors = find_actors(tracks)
    frames = np.unique(np.concatenate([tracks[i].frames for actor in actors for i in actor]))
    people = np.zeros((len(frames), len(actors), *tracks[0].joints.shape[1:]), np.float32)
    present = np.zeros(people.shape[:2], bool)
    for person, actor in enumerate(actors):
        for i in actor:
            at = np.searchsorted(frames, tracks[i].frames)
            people[at, person] = tracks[i].joints
            present[at, person] = True
    return centred(people, present, centre)


def centred(people: np.ndarray, present: np.ndarray, centre: int) -> np.ndarray:
    """Subtract person 1's joint `centre` in the first frame with person 1.

    Args:
        people: (T, M, V, 3).
        present: (T, M) bool; absent people stay all zero.
        centre: joint number.
    """
    origin = people[np.argmax(present[:, 0]), 0, centre]
    return np.where(present[..., None, None], people - origin, 0).astype(np.float32)
