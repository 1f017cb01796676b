"""Who is where when: what the time line shows of each person, and what is suspicious about the people of a clip."""

from typing import NamedTuple

import numpy as np

from mmcl.report.player.shown import Skeleton
from mmcl.skeleton.cleaning import MAX_IMPLAUSIBLE, SPREAD, plausible_frames
from mmcl.skeleton.tracking import JUMP, distance, follow

STILL = 0.5
"""Heights of a body per second: what the noise of a sensor does not reach."""
NAMED = 4
"""Places that a note names."""


class Tracks(NamedTuple):
    """The people of a clip over time.

    Attributes:
        present: (T, M) who is there.
        speed: (T, M) mean speed of the joints since the frame before, in the skeleton's unit per second; 0 where it
            is not known.
        full: the speed that fills a row of a line of time: what few frames exceed, at least STILL heights a second.
        jumps: (T, M) whether the person's joints are farther from those of the frame before than a person moves:
            `mmcl.skeleton.tracking.JUMP` of the body's height.
        confidence: (M) mean of a pose estimator over the frames in which a person is there; None without one.
    """

    present: np.ndarray
    speed: np.ndarray
    full: float
    jumps: np.ndarray
    confidence: np.ndarray | None

    def mean_speed(self, person: int) -> float:
        """Of a person over the frames in which it is known."""
        moving = self.present[1:, person] & self.present[:-1, person]
        return float(self.speed[1:, person][moving].mean()) if moving.any() else 0.0

    def said(self, person: int, unit: str) -> str:
        """What stands beside a person's row, for a unit of length."""
        text = f"{self.mean_speed(person):.3g} {unit}/s"
        if jumps := int(self.jumps[:, person].sum()):
            text += f", {jumps} jump{'s' if jumps > 1 else ''}"
        return text if self.confidence is None else f"{text}, sure {self.confidence[person]:.2f}"


def tracks_of(skeleton: Skeleton, rate: float) -> Tracks:
    """Follow each person from frame to frame."""
    known = skeleton.known
    joints = np.where(known[..., None], skeleton.joints, 0).astype(np.float64)
    present = np.asarray(known.any(2))
    sure = known.astype(np.float64)
    steps = np.zeros(present.shape)
    both = present[1:] & present[:-1]
    steps[1:] = np.where(both, distance(joints[1:], joints[:-1], sure[1:], sure[:-1]), 0)
    low = np.where(known[..., None], joints, np.inf).min(2)
    high = np.where(known[..., None], joints, -np.inf).max(2)
    size = np.where(present, np.where(present[..., None], high - low, 0).max(-1), 0)
    usual = np.array(
        [np.median(one[there]) if there.any() else 0 for one, there in zip(size.T, present.T, strict=True)]
    )
    speed = steps * rate
    full = max(float(np.quantile(speed, 0.99)), STILL * float(usual.max()), 1e-9)
    confidence = None
    if skeleton.confidence is not None:
        shown = np.maximum(present.sum(0), 1)
        confidence = np.where(present, skeleton.confidence.mean(2), 0).sum(0) / shown
    return Tracks(present, speed, full, steps > JUMP * np.maximum(usual, 1e-9), confidence)


def suspicious(skeleton: Skeleton) -> list[str]:
    """What the clean-up of tracked people finds: people who exchange their places, bodies that are as furniture is."""
    return [*_exchanged(skeleton), *_furniture(skeleton)]


def _exchanged(skeleton: Skeleton) -> list[str]:
    people = skeleton.joints.shape[1]
    if people < 2:
        return []
    weights = skeleton.known.astype(np.float64)
    slots = follow(skeleton.joints, weights, people, labelled=True).slots
    found = []
    for own in slots.T:
        there = np.flatnonzero(own >= 0)
        for i in np.flatnonzero(np.diff(own[there])):
            found.append((int(there[i + 1]), int(own[there[i]]) + 1, int(own[there[i + 1]]) + 1))
    if not found:
        return []
    places = ", ".join(
        f"{before} goes on as {after} at frame {frame}" for frame, before, after in sorted(found)[:NAMED]
    )
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return [f"people exchange their places: person {places}{more}"]


def _furniture(skeleton: Skeleton) -> list[str]:
    if skeleton.flat:
        return []
    notes = []
    for person in range(skeleton.joints.shape[1]):
        there = skeleton.whole[:, person]
        if not there.any():
            continue
        share = 1 - float(plausible_frames(skeleton.joints[there, person]).mean())
        if share >= MAX_IMPLAUSIBLE:
            notes.append(
                f"person {person + 1} is wider than {SPREAD:g} of the height in {100 * share:.0f} % of the frames: "
                "furniture, somebody who lies, or an axis other than y is up"
            )
    return notes
