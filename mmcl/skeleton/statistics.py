"""What the skeletons of a training look like, and whether others are like them.

A network gives a class with a high score to anything that has the right shape. So a model keeps what its training
clips have in common: proportions and size of the body, depth, the directions of its axes. Clips that are unlike them
were read in another layout, unit or order of axes than those of the training. The limits are wide enough for other
people, cameras and sensors, and for poses such as lying.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmcl.layouts import get_layout
from mmcl.settings.base import Count, Items, Section
from mmcl.skeleton.cleaning import centred

MOST_CLIPS = 500
"""Training clips that are measured, evenly over their order."""
FRAMES = 64
"""People in frames that are measured of a clip, evenly over its time."""
AT_ORIGIN = 1e-6
LOW, HIGH = 0.01, 0.99
"""Quantiles that stand for the smallest and the largest value, so that a single odd clip does not count."""

OTHER_PROPORTIONS, OTHER_BODY = 0.17, 0.12
"""Part of the bones' total length that belongs to other bones: another layout (real clips of one layout: at most 0.13,
another order of 20 joints: at least 0.18); a body that is only unlike those of the training."""
OTHER_UNIT, OTHER_SIZE = 2.5, 1.4
"""Factors beyond the smallest and the largest training clip."""
FLAT, DEEP = 0.005, 0.02
"""Smallest by largest singular value of a pose: of a plane, of a body (real clips: at least 0.05)."""
TURNED, TURNED_MORE = 60.0, 30.0
"""Degrees between an axis of the body and that of the training: least that is refused, and beyond the training's."""
UPRIGHT, FRONTAL = 0.8, 45.0
"""Least concentration of the vertical axis; most degrees that the sideways axis deviates. Else they tell nothing."""
MIRRORED, NOT_MIRRORED = -0.75, 0.3
"""Correlation of what is in front of the body with that of the training: of a mirrored body; least of a training."""
MANY = 8
"""Clips whose median may tell what one clip may not: one may show a person who lies."""


class TrainingClips(Section):
    """What was measured of training clips; low, median and high of a value are over the clips.

    Attributes:
        clips: how many.
        centre: the joint whose first position is the origin in all of them; None if there is no such joint.
        shares: (E) bones as parts of their total length, medians.
        misfit: high of the distance of a clip's shares to these, half the sum of the differences.
        size: low, median and high of the bones' total length.
        flatness: likewise of the smallest by the largest singular value of a pose.
        axis: the pair of joints whose direction differs least, the upper last; None if all differ.
        up: (3) mean direction of the axis.
        lean: median and largest of its deviation in degrees.
        side: (3) mean direction from right to left across `up`; None if clips differ.
        turn: high of its deviation in degrees.
        front: (V) median places of the joints in front of the body's centre; None without a vertical axis.
        front_fit: low of the correlation of a clip's places with these.
    """

    clips: Count
    centre: int | None
    shares: Items[float]
    misfit: float
    size: Items[float]
    flatness: Items[float]
    axis: Items[int] | None
    up: Items[float]
    lean: Items[float]
    side: Items[float] | None
    turn: float
    front: Items[float] | None
    front_fit: float


class Difference(NamedTuple):
    """In what a clip is unlike the training clips.

    Attributes:
        kind: of the difference, one word.
        message: what differs, and what to do.
        refused: whether the clip tells nothing to the network.
    """

    kind: str
    message: str
    refused: bool


class Measures(NamedTuple):
    """What is measured of a clip.

    Attributes:
        start: (V, 3) joints of person 1 in its first frame.
        bones: (E) median lengths.
        poses: (K, V, 3) about their centres, of person 1.
        pose: (V, 3) their mean.
        flatness: median of the smallest by the largest singular value of a pose.
    """

    start: np.ndarray
    bones: np.ndarray
    poses: np.ndarray
    pose: np.ndarray
    flatness: float


def training_clips(clips: Sequence[np.ndarray], layout: str) -> TrainingClips | None:
    """Measure training clips; None if there is no body with bones in any of them.

    Args:
        clips: (T, M, V, 3) each, as the network is trained with them, before their stream is taken.
        layout: their joint layout.
    """
    every = max(1, -(-len(clips) // MOST_CLIPS))
    measured = [measure(clip, layout) for clip in clips[::every] if clip.any()]
    measured = [one for one in measured if one.bones.sum() > 0]  # not where all joints lie in one place
    if not measured:
        return None
    at_origin = np.all([np.abs(one.start).max(1) < AT_ORIGIN for one in measured], axis=0)
    sizes = np.array([one.bones.sum() for one in measured])
    all_shares = np.array([one.bones for one in measured]) / sizes[:, None]
    shares = np.median(all_shares, axis=0)
    shares /= shares.sum()
    poses = np.array([one.pose for one in measured])
    axis, up = _steadiest(poses)
    found = {
        "clips": len(measured),
        "centre": int(at_origin.argmax()) if at_origin.any() else None,
        "shares": shares.tolist(),
        "misfit": _high(np.abs(all_shares - shares).sum(1) / 2),
        "size": _spread(sizes),
        "flatness": _spread(np.array([one.flatness for one in measured])),
        "axis": axis,
        "up": up.tolist(),
        "lean": (0.0, 0.0),
        "side": None,
        "turn": 0.0,
        "front": None,
        "front_fit": 0.0,
    }
    if axis is not None:
        leans = _angles(poses[:, axis[1]] - poses[:, axis[0]], up)
        found["lean"] = (float(np.median(leans)), float(leans.max()))
        sides = np.array([_side(pose, layout, up) for pose in poses])
        if np.abs(sides).any():
            side = _unit(sides.mean(0))
            found["turn"] = _high(_angles(sides, side))
            if found["turn"] <= FRONTAL:
                found["side"] = side.tolist()
            fronts = np.array([_front(one.poses, layout, up) for one in measured])
            front = np.median(fronts, axis=0)
            found["front_fit"] = float(np.quantile([_correlation(one, front) for one in fronts], 0.05))
            found["front"] = front.tolist()
    return TrainingClips.model_validate(found)


def measure(clip: np.ndarray, layout: str) -> Measures:
    """Measure a clip (T, M, V, 3) with somebody in it; absent people are all zero."""
    present = (clip != 0).any((2, 3))  # (T, M)
    who = int(present.any(0).argmax())
    seen = clip[present[:, who], who].astype(np.float64)
    people = seen[np.linspace(0, len(seen) - 1, min(FRAMES, len(seen))).round().astype(int)]
    child, parent = (list(ends) for ends in zip(*get_layout(layout).edges, strict=True))
    about = people - people.mean(1, keepdims=True)
    values = np.linalg.svd(about, compute_uv=False)
    return Measures(
        seen[0],
        np.median(np.linalg.norm(people[:, child] - people[:, parent], axis=-1), axis=0),
        about,
        about.mean(0),
        float(np.median(values[:, 2] / np.maximum(values[:, 0], 1e-12))),
    )


def centred_alike(own: TrainingClips | None, clip: np.ndarray) -> np.ndarray:
    """A clip (T, M, V, 3) with its origin where the training clips have it; as it is if they have none in common."""
    if own is None or own.centre is None:
        return clip
    present = (clip != 0).any((2, 3))
    return centred(clip, present, own.centre) if present[:, 0].any() else clip


def differences(
    own: TrainingClips, clips: Sequence[np.ndarray], layout: str, mapped: bool = False
) -> list[list[Difference]]:
    """In what each clip is unlike the training clips; nothing for most.

    Args:
        own: of the training.
        clips: (T, M, V, 3) each, of the training's layout, with somebody in every one of them.
        layout: that layout.
        mapped: whether the joints were mapped from another layout by their names, so that bones may differ.
    """
    measured = [measure(clip, layout) for clip in clips]
    poses = [one.pose for one in measured]
    lean = np.array([_lean(own, pose) for pose in poses])
    front = np.array([_likeness(own, one.poses, layout) for one in measured])
    many = len(clips) >= MANY
    fallen = many and own.lean[0] < TURNED / 2 and float(np.median(lean)) > TURNED
    swapped = many and own.front is not None and float(np.median(front)) < -0.5
    found = []
    for one, angle, like in zip(measured, lean, front, strict=True):
        # depth first: a flat body has other proportions, too
        here = [_depth(own, one), _proportions(own, one, mapped), _size(own, one)]
        here.append(_upright(own, one, fallen or bool(angle > max(TURNED, own.lean[1] + TURNED_MORE))))
        if here[-1] is None:
            mirrored = swapped or (own.front_fit > NOT_MIRRORED and like < MIRRORED)
            here.append(_facing(own, one, layout, bool(mirrored)))
        found.append([difference for difference in here if difference is not None])
    return found


def _proportions(own: TrainingClips, one: Measures, mapped: bool) -> Difference | None:
    total = one.bones.sum()
    misfit = np.abs(one.bones / max(total, 1e-12) - np.array(own.shares)).sum() / 2
    if mapped:
        return None
    if misfit > max(OTHER_PROPORTIONS, 1.5 * own.misfit):
        message = (
            "its bones have other proportions than those of the training clips "
            f"({100 * misfit:.0f} % of their length is elsewhere): the joints are in the order of another layout"
        )
        return Difference("layout", message, True)
    if misfit > max(OTHER_BODY, 1.2 * own.misfit):
        return Difference(
            "layout", "its bones have other proportions than those of the training clips", False
        )
    return None


def _size(own: TrainingClips, one: Measures) -> Difference | None:
    low, median, high = own.size
    size = max(float(one.bones.sum()), 1e-12)
    ratio = size / median
    message = f"its bones are {ratio:.3g} times as long as in the median training clip"
    if not low / OTHER_UNIT <= size <= high * OTHER_UNIT:
        remedy = "the reader's option scale (metres per unit), here about"
        return Difference("unit", f"{message}: another unit; {remedy} {_round_scale(ratio):g}", True)
    if not low / OTHER_SIZE <= size <= high * OTHER_SIZE:
        return Difference("size", message, False)
    return None


def _round_scale(ratio: float) -> float:
    """1 / ratio; the power of ten where the ratio is near one."""
    power = round(float(np.log10(ratio)))
    return float(10.0**-power) if power and 0.5 < ratio / 10.0**power < 2 else float(f"{1 / ratio:.2g}")


def _depth(own: TrainingClips, one: Measures) -> Difference | None:
    low, median, _ = own.flatness
    if one.flatness < min(FLAT, low / 2) and low > FLAT:
        return Difference("flat", "it is flat (2-D), and the training clips have depth (3-D)", True)
    if median < FLAT and one.flatness > DEEP:
        return Difference("depth", "it has depth (3-D), and the training clips are flat (2-D)", True)
    return None


def _upright(own: TrainingClips, one: Measures, refused: bool) -> Difference | None:
    if own.axis is None or not refused:
        return None
    lower, upper = own.axis
    message = (
        f"its body is upright along {_axis_name(one.pose[upper] - one.pose[lower])}, the training's along "
        f"{_axis_name(np.array(own.up))}: exchange or negate the axes of the joints to have those of the training"
    )
    return Difference("upright", message, True)


def _facing(own: TrainingClips, one: Measures, layout: str, mirrored: bool) -> Difference | None:
    if own.axis is None:
        return None
    side = _side(one.pose, layout, np.array(own.up))
    if own.side is not None and np.abs(side).any():
        angle = float(_angles(side[None], np.array(own.side))[0])
        if angle > max(TURNED, own.turn + TURNED_MORE):
            message = (
                f"its body's left is turned by {angle:.0f} degrees from that of the training clips: other axes, left "
                "and right exchanged, or seen from a side that was not trained"
            )
            return Difference("facing", message, True)
    if mirrored:
        message = (
            "what is in front of the body in the training clips is behind it: it is mirrored; exchange or negate the "
            "axes of the joints to have those of the training, or left and right"
        )
        return Difference("mirrored", message, True)
    return None


def _axis_name(direction: np.ndarray) -> str:
    number = int(np.abs(direction).argmax())
    return f"{'+' if direction[number] > 0 else '−'}{'xyz'[number]}"


def _steadiest(poses: np.ndarray) -> tuple[tuple[int, int] | None, np.ndarray]:
    """The pair of joints, at least half as far apart as the farthest, whose direction differs least over the poses.

    Args:
        poses: (N, V, 3).

    Returns:
        Lower and upper joint, None if the direction differs by too much, and the mean direction (3).
    """
    apart = poses[:, None] - poses[:, :, None]  # [n, i, j] from i to j
    length = np.linalg.norm(apart, axis=-1)
    mean = (apart / np.maximum(length, 1e-12)[..., None]).mean(0)
    steady = np.linalg.norm(mean, axis=-1)
    far = length.mean(0) >= 0.5 * length.mean(0).max()
    lower, upper = (int(i) for i in np.unravel_index((steady * far).argmax(), steady.shape))
    if (main := mean[lower, upper])[np.abs(main).argmax()] < 0:
        lower, upper = upper, lower
    return ((lower, upper) if steady[lower, upper] > UPRIGHT else None), _unit(mean[lower, upper])


def _lean(own: TrainingClips, pose: np.ndarray) -> float:
    if own.axis is None:
        return 0.0
    lower, upper = own.axis
    return float(_angles((pose[upper] - pose[lower])[None], np.array(own.up))[0])


def _side(poses: np.ndarray, layout: str, up: np.ndarray) -> np.ndarray:
    """(…, 3) unit vectors from right to left across `up`, of poses (…, V, 3); zero without such joints."""
    pairs = get_layout(layout).left_right
    side = sum((poses[..., left, :] - poses[..., right, :] for left, right in pairs), np.zeros(3))
    return _unit(side - (side @ up)[..., None] * up)


def _front(poses: np.ndarray, layout: str, up: np.ndarray) -> np.ndarray:
    """(V) median places of the joints along side × up, of poses (K, V, 3)."""
    front = np.cross(_side(poses, layout, up), up)  # (K, 3)
    found: np.ndarray = np.median((poses @ front[:, :, None])[..., 0], axis=0)
    return found


def _likeness(own: TrainingClips, poses: np.ndarray, layout: str) -> float:
    return _correlation(_front(poses, layout, np.array(own.up)), np.array(own.front)) if own.front else 1.0


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    found: np.ndarray = np.where(length > 1e-9, vector / np.maximum(length, 1e-9), 0.0)
    return found


def _angles(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(N) degrees between vectors (N, 3) and a unit vector."""
    cosine = vectors @ axis / np.maximum(np.linalg.norm(vectors, axis=-1), 1e-12)
    found: np.ndarray = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return found


def _spread(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, (LOW, 0.5, HIGH))]


def _high(values: np.ndarray) -> float:
    return float(np.quantile(values, HIGH))
