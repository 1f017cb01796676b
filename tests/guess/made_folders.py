"""Folders of recordings in the forms that users have."""

from pathlib import Path

import numpy as np

from mmcl.layouts import get_layout

BODY = {
    "spine_base": (0, 0.95),
    "spine_mid": (0, 1.15),
    "spine_shoulder": (0, 1.4),
    "neck": (0, 1.47),
    "head": (0, 1.65),
    "nose": (0.0, 1.62),
    "eye": (0.03, 1.65),
    "ear": (0.07, 1.64),
    "shoulder": (0.18, 1.4),
    "elbow": (0.22, 1.12),
    "wrist": (0.24, 0.88),
    "hand": (0.24, 0.8),
    "hand_tip": (0.25, 0.72),
    "thumb": (0.2, 0.78),
    "hip": (0.1, 0.93),
    "knee": (0.11, 0.5),
    "ankle": (0.12, 0.08),
    "foot": (0.12, 0.02),
}
"""Metres to the side and upwards of a standing person; of pairs the left one."""


def clip(layout: str, label: int = 0, seed: int = 0, frames: int = 12) -> np.ndarray:
    """(T, V, 3) metres, y up, 3 m away: somebody who lifts the left (label 0) or the right hand, or both."""
    random = np.random.default_rng(seed)
    joints = []
    for joint in get_layout(layout).joints:
        side = -1 if joint.endswith("_right") else 1
        x, y = BODY[joint.removesuffix("_left").removesuffix("_right")]
        joints.append((side * x, y, 3.0 + (0.08 if joint.startswith(("foot", "nose")) else 0)))
    x = np.tile(np.array(joints), (frames, 1, 1))
    for side, lifted in (("left", label in (0, 2)), ("right", label in (1, 2))):
        for number, joint in enumerate(get_layout(layout).joints):
            if lifted and joint.endswith(side) and joint.startswith(("wrist", "hand", "thumb", "elbow")):
                x[:, number, 1] += np.sin(np.linspace(0, 3, frames)) * (0.2 if "elbow" in joint else 0.5)
    return x + random.normal(0, 0.005, x.shape)


def pixels(joints: np.ndarray, scores: bool = True) -> np.ndarray:
    """(T, V, 3 or 2) of (T, V, 3) metres in a picture of 640 × 480, y down."""
    u, v = (
        320 + 500 * joints[..., 0] / joints[..., 2],
        420 - 500 * (joints[..., 1] - 0.3) / joints[..., 2] / 2,
    )
    random = np.random.default_rng(1)
    return np.stack([u, v, *([random.uniform(0.5, 0.99, u.shape)] if scores else [])], -1)


LABELS = ("lift left", "lift right", "lift both")
PEOPLE = ("alice", "bob", "carol", "dave")


def flat(
    folder: Path, form: str = "{label}_{person}_{take}", layout: str = "ntu25", unit: float = 1.0
) -> Path:
    """One .npy a clip: three labels, four people, two takes each; `form` names the files."""
    for label, text in enumerate(LABELS):
        for number, person in enumerate(PEOPLE):
            for take in (1, 2):
                stated = {
                    "label": text.replace(" ", "_"),
                    "person": person,
                    "take": f"{take:02d}",
                    "n": number + 1,
                }
                path = folder / f"{form.format(**stated)}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, clip(layout, label, 10 * number + take) * unit)
    return folder
