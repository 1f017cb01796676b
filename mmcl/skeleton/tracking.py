"""Tracking people through the frames of a clip: which person of a frame is which of the frames before."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from mmcl.skeleton.cleaning import MIN_FRAMES, motion

FAR = 0.5
"""Mean distance of two poses' joints above which they are different people, in heights of the earlier one."""
JUMP = 0.15
"""The same, above which a label may have passed to another person."""
PATIENCE = 10
"""Frames after which a track that is not continued ends."""
MOST_TRACKS = 500
"""Beyond so many tracks of one clip nothing is known of who is who."""
SHORT = 0.25
"""A track of less than this part of the longest one's frames, and of less than MIN_FRAMES, is a false detection."""


class Piece(NamedTuple):
    """Consecutive frames of one person, and the place where each of them has him.

    Attributes:
        frames: (F) ascending frame numbers.
        poses: (F, V, C) positions, in any unit; any finite number where a joint is not known.
        weights: (F, V) confidences, 0 where a joint is not known.
        size: height of the person in the last frame, in the unit of the positions.
        slot: number of the person in the frames' own lists.
        label: the identity that a tracker gave him; None without one.
    """

    frames: np.ndarray
    poses: np.ndarray
    weights: np.ndarray
    size: float
    slot: int
    label: int | None = None


def link(pieces: Sequence[Piece], patience: float = PATIENCE) -> list[list[int]]:
    """Put pieces together into tracks.

    From frame to frame, the pieces that begin are assigned to the tracks that have ended so that the distances of their
    joints, weighted by the product of both confidences, are least in sum (Hungarian method). A piece that is FAR from
    all of them begins a new track. A track of the same label is never too far and never too old, but a nearer one is
    preferred to it.

    Args:
        pieces: of all people.
        patience: frames after which a track is not continued by a piece of another label.

    Returns:
        Tracks, each as the numbers of its pieces in the order of time.
    """
    tracks: list[list[int]] = []
    waiting: list[list[int]] = []
    order = sorted(range(len(pieces)), key=lambda i: pieces[i].frames[0])
    for start, group in groupby(order, key=lambda i: pieces[i].frames[0]):
        begin = list(group)
        waiting = [
            track
            for track in waiting
            if pieces[track[-1]].label is not None or start - pieces[track[-1]].frames[-1] <= patience
        ]
        labels = {pieces[i].label for i in begin} - {None}
        ended = [
            track
            for track in waiting
            if (before := pieces[track[-1]]).frames[-1] < start
            and (before.label in labels or start - before.frames[-1] <= patience)
        ]
        taken = _assign([pieces[track[-1]] for track in ended], [pieces[i] for i in begin])
        for number, i in enumerate(begin):
            if number in taken:
                ended[taken[number]].append(i)
            else:
                tracks.append([i])
                waiting.append(tracks[-1])
    return tracks


def _assign(ended: list[Piece], begin: list[Piece]) -> dict[int, int]:
    """Number of a piece that begins → number of the one that it continues."""
    from scipy.optimize import linear_sum_assignment

    if not ended or not begin:
        return {}
    before, after = np.stack([p.poses[-1] for p in ended]), np.stack([p.poses[0] for p in begin])
    confidence = np.stack([p.weights[-1] for p in ended]), np.stack([p.weights[0] for p in begin])
    cost = distance(before[:, None], after[None], confidence[0][:, None], confidence[1][None])
    cost = cost / np.array([piece.size for piece in ended])[:, None]
    same = [[one.label is not None and one.label == two.label for two in begin] for one in ended]
    cost = np.where(same, np.minimum(cost, 0.999 * FAR), cost)
    # bounded, so that a pair that is too far apart does not change the assignment of the others
    rows, columns = linear_sum_assignment(np.minimum(cost, FAR))
    return {int(c): int(r) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FAR}


def distance(one: np.ndarray, two: np.ndarray, sure_one: np.ndarray, sure_two: np.ndarray) -> np.ndarray:
    """Mean distance of the joints of poses (…, V, C), weighted by both confidences (…, V)."""
    sure = sure_one * sure_two + 1e-6
    apart: np.ndarray = np.linalg.norm(one - two, axis=-1)
    mean: np.ndarray = (apart * sure).sum(-1) / sure.sum(-1)
    return mean


def arranged(frames: Sequence[np.ndarray], most: int) -> list[int | None]:
    """For each track, in their order, the first of `most` places that is free in all of its frames; None if none is."""
    busy: list[set[int]] = [set() for _ in range(most)]
    places: list[int | None] = []
    for own in frames:
        place = next((i for i, taken in enumerate(busy) if taken.isdisjoint(own.tolist())), None)
        if place is not None:
            busy[place].update(own.tolist())
        places.append(place)
    return places


class Followed(NamedTuple):
    """The people of a clip.

    Attributes:
        slots: (T, M) where a person is in each frame's own list, −1 where he is not there.
        dropped: tracks that are none of the M people.
    """

    slots: np.ndarray
    dropped: int

    def take(self, values: np.ndarray, absent: float) -> np.ndarray:
        """(T, M, …) of the people, from (T, lists' length, …)."""
        taken = np.take_along_axis(
            values, np.maximum(self.slots, 0).reshape(*self.slots.shape, *[1] * (values.ndim - 2)), axis=1
        )
        taken[self.slots < 0] = absent
        return taken


def follow(joints: np.ndarray, weights: np.ndarray, most: int, labelled: bool) -> Followed:
    """Follow people through frames that list whoever was found, or that give them labels.

    1. Poses are linked from frame to frame (`link`). With labels, a label is followed until its person jumps or is
       lost; the next piece may then be another's.
    2. A track that is SHORT beside the longest is a false detection and is dropped.
    3. Tracks of which one begins near where another has ended, however long before, are one person.
    4. The people with the most motion (`cleaning.motion`) are kept and come first. One who is never there together
       with another may share his place, as in the clean-up of NTU RGB+D.

    The order of the lists does not matter, but between poses that are equal.

    Args:
        joints: (T, N, V, C) positions of at most N people in each frame; any number where a joint is not known.
        weights: (T, N, V) confidences, 0 where a joint is not known.
        most: people kept.
        labelled: whether the second axis is an identity, as of a tracker, and not only a list.

    Returns:
        At most `most` people; none if nobody is seen.
    """
    joints = np.where(weights[..., None] > 0, joints, 0)
    pieces = _pieces(joints, weights, labelled)
    tracks = link(pieces)
    frames = [sum(len(pieces[i].frames) for i in track) for track in tracks]
    least = min(MIN_FRAMES, SHORT * max(frames, default=0))
    long = [_joined(pieces, track) for track, count in zip(tracks, frames, strict=True) if count >= least]
    people = [[part for i in track for part in long[i]] for track in _rejoined(long)]
    people.sort(key=lambda parts: _rank(joints, weights, parts))
    places = arranged([np.concatenate([part.frames for part in parts]) for parts in people], most)
    slots = np.full((len(joints), max((p + 1 for p in places if p is not None), default=0)), -1)
    for place, parts in zip(places, people, strict=True):
        for part in parts if place is not None else ():
            slots[part.frames, place] = part.slot
    return Followed(slots, len(tracks) - len(long) + sum(place is None for place in places))


def _pieces(joints: np.ndarray, weights: np.ndarray, labelled: bool) -> list[Piece]:
    known = weights > 0
    present = np.asarray(known.any(2))
    if not present.any():
        return []
    low = np.where(known[..., None], joints, np.inf).min(2)
    high = np.where(known[..., None], joints, -np.inf).max(2)
    size = np.where(present, np.where(present[..., None], high - low, 0).max(-1), 0)
    # of a person of whom little is seen, the size is not known
    size = np.maximum(size, max(np.median(size[present]) / 2, 1e-9))
    pieces = []
    for slot in range(joints.shape[1]):
        shown = np.flatnonzero(present[:, slot])
        own, sure = joints[shown, slot], weights[shown, slot]
        breaks = np.arange(1, len(shown))
        if labelled:
            step = distance(own[1:], own[:-1], sure[1:], sure[:-1]) / size[shown[:-1], slot]
            breaks = breaks[(np.diff(shown) > 1) | (step > JUMP)]
        for part in np.split(np.arange(len(shown)), breaks):
            if len(part):
                last = float(size[shown[part[-1]], slot])
                label = slot if labelled else None
                pieces.append(Piece(shown[part], own[part], sure[part], last, slot, label))
    return pieces


def _joined(pieces: Sequence[Piece], track: list[int]) -> list[Piece]:
    return [pieces[i] for i in track]


def _rejoined(tracks: Sequence[Sequence[Piece]]) -> list[list[int]]:
    """Tracks that are one person, by where one ends and the other begins."""
    if len(tracks) > MOST_TRACKS:
        return [[i] for i in range(len(tracks))]
    ends = [
        Piece(
            np.array([parts[0].frames[0], parts[-1].frames[-1]]),
            np.stack([parts[0].poses[0], parts[-1].poses[-1]]),
            np.stack([parts[0].weights[0], parts[-1].weights[-1]]),
            parts[-1].size,
            0,
        )
        for parts in tracks
    ]
    return link(ends, np.inf)


def _rank(joints: np.ndarray, weights: np.ndarray, parts: Sequence[Piece]) -> tuple[float, ...]:
    """Sort key: most motion first; of two with the same, the one further in the negative direction of the axes."""
    frames = np.concatenate([part.frames for part in parts])
    slots = np.concatenate([np.full(len(part.frames), part.slot) for part in parts])
    points = joints[frames, slots][weights[frames, slots] > 0]
    return (-motion(points), *points.mean(0).tolist())
