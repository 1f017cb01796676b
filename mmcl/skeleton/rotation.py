"""Rotation between bones: the axis about which a joint is bent, and its angular velocity (IKEM, section 3.1).

Everything takes bones (…, 3, T, V, M): channels are the fourth axis from the end, so that `cross` need not infer it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.errors import UserError
from mmcl.layouts import get_layout

CHANNELS = -4


def torso_normal(x: Tensor, layout: str) -> Tensor:
    """The direction that the chest faces: the unit normal of the triangle of the shoulders and the middle of the spine.

    n = (c − r) × (l − r) / ‖…‖ for the left shoulder l, the right one r, and c = spine_mid or, in layouts
    without it, the middle of the hips. Zero for absent people.

    Args:
        x: joints (…, 3, T, V, M).
        layout: joint layout.

    Returns:
        (…, 3, T, 1, M).

    Raises:
        UserError: the layout lacks one of these joints.
    """
    skeleton = get_layout(layout)
    below = ["spine_mid"] if "spine_mid" in skeleton.joints else ["hip_left", "hip_right"]
    missing = [j for j in ("shoulder_left", "shoulder_right", *below) if j not in skeleton.joints]
    if missing:
        raise UserError(f"layout {layout} has no {missing[0]}: so the bending of its joints is not defined")

    def at(joint: str) -> Tensor:
        return x.narrow(-2, skeleton.index(joint), 1)

    right = at("shoulder_right")
    centre = torch.stack([at(joint) for joint in below]).mean(0)
    normal = torch.linalg.cross(centre - right, at("shoulder_left") - right, dim=CHANNELS)
    return F.normalize(normal, dim=CHANNELS)


def rotation_axis(bones: Tensor, references: Tensor) -> Tensor:
    """The axis about which each bone is rotated against its reference: r = b × b'.

    Not normalised, as in the released code: its length |b||b'| sin θ grows with the bending of the joint.

    Args:
        bones: (…, 3, T, V, M).
        references: (…, 3, T, V, M), the reference bone of each bone.

    Returns:
        (…, 3, T, V, M).
    """
    axis: Tensor = torch.linalg.cross(bones, references, dim=CHANNELS)
    return axis


def angular_velocity(bones: Tensor, references: Tensor, rate: Tensor | None = None) -> Tensor:
    """Angular velocity of each joint's bending: o_t = s · (θ_{t+1} − θ_t) · r_t / ‖r_t‖, zero in the last frame.

    θ = atan2(‖n × n'‖, n · n') is the angle between the bones n and n' of unit length, r their rotation axis.
    Zero for a joint that turns without bending.

    Args:
        bones, references: see `rotation_axis`.
        rate: s, broadcastable to the bones; None for one.

    Returns:
        (…, 3, T, V, M), radians per frame.
    """
    bones, references = F.normalize(bones, dim=CHANNELS), F.normalize(references, dim=CHANNELS)
    axis = torch.linalg.cross(bones, references, dim=CHANNELS)
    cosine = (bones * references).sum(CHANNELS, keepdim=True)
    angle = torch.atan2(axis.norm(dim=CHANNELS, keepdim=True), cosine)
    change = torch.diff(angle, dim=-3, append=angle[..., -1:, :, :])
    return F.normalize(axis, dim=CHANNELS) * (change if rate is None else rate * change)
