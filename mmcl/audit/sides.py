"""Left and right: limbs that are exchanged within a clip, and bodies whose sides contradict each other."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from mmcl.audit.damage import Damage
from mmcl.datasets.clip import hold_positions
from mmcl.layouts import Layout

ARM = ("shoulder", "elbow", "wrist", "hand", "hand_tip", "thumb")
LEG = ("hip", "knee", "ankle", "foot", "heel", "toe", "big_toe", "small_toe")

CROSSED = 0.35
"""A limb pair was exchanged if exchanging it back makes its step at most this fraction …"""

APART = 0.06
"""… and this many metres per joint shorter: an exchange of hands that touch cannot be detected."""

AGAINST = -0.25
"""Cosine below which two directions contradict each other in the median of a clip."""

MIN_FRAMES = 5


def find_swaps(clip: np.ndarray, layout: Layout) -> Iterator[Damage]:
    """Exchanges of left and right.

    Within the clip (`swap`): between two frames, the joints of both arms (or of both legs) come to lie where those
    of the other side were. In the whole clip (`sides`): the feet point backwards, as seen from hips and spine; or
    hips and shoulders point in opposite directions.

    Args:
        clip: (T, M, V, 3) metres in a right-handed space; an absent person is all zero.
        layout: of its joints.

    Yields:
        Kind and detail.
    """
    for person in range(clip.shape[1]):
        prefix = f"person {person + 1}: " if clip.shape[1] > 1 else ""
        there = hold_positions(clip[:, person])
        for kind, detail in (
            *_exchanges(clip[:, person], there, layout),
            *_contradictions(clip[there, person], layout),
        ):
            yield kind, prefix + detail


@cache
def _limbs(layout: Layout) -> dict[str, tuple[tuple[int, int], ...]]:
    """`arms` and `legs` → (left, right) numbers of their joints."""
    names = {layout.joints[left].removesuffix("_left"): (left, right) for left, right in layout.left_right}
    limbs = {
        limb: tuple(pair for name, pair in names.items() if name in members)
        for limb, members in (("arms", ARM), ("legs", LEG))
    }
    return {limb: pairs for limb, pairs in limbs.items() if pairs}


def _exchanges(joints: np.ndarray, there: np.ndarray, layout: Layout) -> Iterator[Damage]:
    # relative to the body's centre: a body that jumps as a whole exchanges nothing, and one that enters or leaves (all
    # zero then) has the same step crossed or not
    body = np.where(there[:, None, None], joints - joints[:, layout.centre, None], 0)
    found = []
    for limb, pairs in _limbs(layout).items():
        left, right = (body[:, list(numbers)] for numbers in zip(*pairs, strict=True))
        stay = _step(left, left) + _step(right, right)
        cross = _step(left, right) + _step(right, left)
        hit = (cross <= CROSSED * stay) & (stay - cross >= 2 * APART)
        found += [(int(frame), limb) for frame in np.flatnonzero(hit)]
    if found:
        places = ", ".join(f"{limb} from frame {frame} to {frame + 1}" for frame, limb in sorted(found)[:6])
        yield "swap", f"{len(found)} exchanges: {places}"


def _step(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(F − 1,) metres, mean over joints, from `before` in a frame to `after` in the next."""
    steps: np.ndarray = np.linalg.norm(after[1:] - before[:-1], axis=-1).mean(1)
    return steps


def _contradictions(joints: np.ndarray, layout: Layout) -> Iterator[Damage]:
    have = set(layout.joints)
    if len(joints) < MIN_FRAMES or not {"hip_left", "spine_base", "spine_shoulder"} <= have:
        return

    def at(name: str) -> np.ndarray:
        return joints[:, layout.index(name)]

    hips = at("hip_left") - at("hip_right")
    if "foot_left" in have:
        forward = np.cross(hips, at("spine_shoulder") - at("spine_base"))
        toes = sum(at(f"foot_{side}") - at(f"ankle_{side}") for side in ("left", "right"))
        feet = _median_cosine(forward, toes)
        if feet < AGAINST:
            yield "sides", f"the feet point backwards (cosine {feet:.2f} to where hips and spine face)"
    shoulders = _median_cosine(hips, at("shoulder_left") - at("shoulder_right"))
    if shoulders < AGAINST:
        yield "sides", f"hips and shoulders point in opposite directions (cosine {shoulders:.2f})"


def _median_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two (F, 3) vectors over the frames; 0 where they have no direction."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    good = lengths > 1e-9
    return float(np.median((a * b).sum(-1)[good] / lengths[good])) if good.any() else 0.0
