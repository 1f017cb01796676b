"""A clip with one tracked person, from positions as they were recorded."""

from pathlib import Path

import numpy as np

from mmcl.datasets.clip import FARTHEST, hold_positions
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.skeleton.cleaning import centred


def one_person(path: Path, joints: np.ndarray, layout: str) -> np.ndarray:
    """Drop the frames that hold no position and centre the rest on the layout's centre in the first of them.

    Args:
        path: the recording, for messages.
        joints: (T, V, 3) metres.
        layout: joint layout.

    Returns:
        (T', 1, V, 3) float32.

    Raises:
        UserError: no frame is left; gives the reason.
    """
    usable = hold_positions(joints)
    if not usable.any():
        if not joints.any():
            raise UserError(f"{path}: only zeros")
        if np.isfinite(joints).all((1, 2)).any():
            raise UserError(f"{path}: every frame has joints beyond {FARTHEST:g} m; are these metres?")
        raise UserError(f"{path}: no frame with finite joints")
    people = joints[usable, None].astype(np.float32)
    return centred(people, np.ones(people.shape[:2], bool), get_layout(layout).centre)
