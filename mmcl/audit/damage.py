"""Damage within one clip, by the sensor or a conversion."""

from collections.abc import Iterator

import numpy as np

from mmcl.datasets.clip import FARTHEST, hold_positions
from mmcl.layouts import Layout

FASTEST = 30.0
"""m/s. The hand of a professional pitcher; everyday movements stay below 10."""

REPEATED = 3
"""From so many frames in a row on, repeats of the frame before are no effect of the sensor's clock …"""

REPEATED_SHARE = 0.1
"""… and neither are they from this fraction of a clip on."""

LONG_BONE = 0.15
"""Metres. Hands and feet are shorter, and a Kinect's estimate of them is poor: their length means little."""

BONE_SPREAD = 1.5
"""The middle 90 % of a bone's lengths may differ by this much of its median (Kinect v1: 99 % of clips below)."""

BONE_SPREAD_FRAMES = 10
"""Fewer frames have no middle 90 %."""

TORSO = (0.2, 0.9)
"""Metres from the pelvis to the shoulders, children and giants included."""

SAME_PLACE = 1e-3
"""Metres. No two joints are this near to each other."""

Damage = tuple[str, str]
"""Kind and detail."""


def find_damage(clip: np.ndarray, layout: Layout, rate: float = 30.0) -> Iterator[Damage]:
    """All damage in a clip.

    Args:
        clip: (T, M, V, 3) metres, as recorded; an absent person is all zero.
        layout: of its joints.
        rate: frames per second.

    Yields:
        Kind and detail, at most one of each kind.
    """
    yield from _values(clip)
    yield from _time(clip)
    for person in range(clip.shape[1]):
        prefix = f"person {person + 1}: " if clip.shape[1] > 1 else ""
        there = hold_positions(clip[:, person])
        if not there.any():
            continue
        for kind, detail in (
            *_jumps(clip[:, person], there, layout, rate),
            *_body(clip[there, person], layout),
        ):
            yield kind, prefix + detail


def _values(clip: np.ndarray) -> Iterator[Damage]:
    # false for NaN too
    near = (np.abs(clip) <= FARTHEST).all(-1)
    if not near.all():
        nan = np.isnan(clip).any(-1)
        infinite = np.isinf(clip).any(-1)
        far = ~near & ~nan & ~infinite
        counts = {"NaN": nan, "infinite": infinite, f"beyond {FARTHEST:.0f} m": far}
        detail = ", ".join(f"{mask.sum()} joints {what}" for what, mask in counts.items() if mask.any())
        yield "not_finite", f"{detail}, in {(~near).any((1, 2)).sum()} of {len(clip)} frames"


def _time(clip: np.ndarray) -> Iterator[Damage]:
    empty = np.asarray(~clip.any((1, 2, 3)))
    if empty.any():
        yield "empty_frames", f"{empty.sum()} of {len(clip)} frames are all zero"
    if len(clip) == 1:
        yield "one_frame", "1 frame"
        return
    # empty frames are reported above
    repeats = np.asarray((clip[1:] == clip[:-1]).all((1, 2, 3))) & ~empty[1:]
    longest = _longest_run(repeats)
    if longest >= REPEATED or repeats.mean() >= REPEATED_SHARE:
        yield (
            "frozen",
            f"{repeats.sum()} of {len(clip)} frames repeat the one before, up to {longest} in a row",
        )


def _longest_run(mask: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def _jumps(joints: np.ndarray, there: np.ndarray, layout: Layout, rate: float) -> Iterator[Damage]:
    steps = np.linalg.norm(np.diff(np.where(there[:, None, None], joints, 0), axis=0), axis=-1)
    # a person who enters the picture does not jump there from the origin
    steps[~(there[1:] & there[:-1])] = 0
    if (steps * rate > FASTEST).any():
        frame, joint = np.unravel_index(np.argmax(steps), steps.shape)
        yield (
            "jump",
            f"{layout.joints[joint]} moves {steps[frame, joint]:.2f} m from frame {frame} to {frame + 1}"
            f" ({steps[frame, joint] * rate:.0f} m/s at {rate:g} frames/s);"
            f" {(steps * rate > FASTEST).any(1).sum()} such steps",
        )


def _body(joints: np.ndarray, layout: Layout) -> Iterator[Damage]:
    """Of the frames that hold positions, (F, V, 3)."""
    if {"spine_base", "spine_shoulder"} <= set(layout.joints):
        ends = [layout.index(joint) for joint in ("spine_base", "spine_shoulder")]
        torso = float(np.median(np.linalg.norm(joints[:, ends[0]] - joints[:, ends[1]], axis=-1)))
        if not TORSO[0] <= torso <= TORSO[1]:
            yield "size", f"from pelvis to shoulders {torso:.3g} m in the median"
    edges = np.array(layout.edges)
    lengths = np.linalg.norm(joints[:, edges[:, 0]] - joints[:, edges[:, 1]], axis=-1)
    names = [f"{layout.joints[parent]}–{layout.joints[child]}" for child, parent in edges]
    zero = (lengths < SAME_PLACE).sum(0)
    if zero.any():
        worst = int(np.argmax(zero))
        yield "zero_bone", f"{names[worst]} in {zero[worst]} of {len(lengths)} frames"
    if len(lengths) >= BONE_SPREAD_FRAMES:
        low, middle, high = np.percentile(lengths, [5, 50, 95], axis=0)
        spread = np.where(middle >= LONG_BONE, (high - low) / np.maximum(middle, LONG_BONE), 0)
        worst = int(np.argmax(spread))
        if spread[worst] > BONE_SPREAD:
            yield (
                "bone_length",
                f"{names[worst]} is {low[worst]:.2f} to {high[worst]:.2f} m long (5th to 95th percentile)",
            )
