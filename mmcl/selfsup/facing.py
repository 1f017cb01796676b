"""IKEM's alignment of a skeleton: every person is centred and turned to face the camera, frame by frame.

This removes where a person goes and which way he turns, and keeps how the limbs move relative to the body.
"""

import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.layouts import get_layout


def face_camera(x: Tensor, layout: str, by_clip: bool = False) -> Tensor:
    """Put the root in the origin and turn the shoulders onto +x, about the vertical axis y.

    With v from the left to the right shoulder, in every frame:

        θ = −atan2(v_z, v_x),   x' = cos θ · x − sin θ · z,   z' = sin θ · x + cos θ · z

    Args:
        x: joints (N, 3, T, V, M). Absent persons stay zero.
        layout: joint layout.
        by_clip: as in the released code, where |θ_t| = arccos(v_x / (‖v‖ + 1e-4)) has one sign per clip and person,
            that of −Σ_t v_z: frames that are turned the other way end up at twice the angle.

    Returns:
        The same shape.

    Raises:
        UserError: the layout has no shoulders.
    """
    skeleton = get_layout(layout)
    if missing := [j for j in ("shoulder_left", "shoulder_right") if j not in skeleton.joints]:
        raise UserError(f"layout {layout} has no {missing[0]}: the direction that a person faces is unknown")
    x = x - x[:, :, :, skeleton.root, None]
    across = x[:, :, :, skeleton.index("shoulder_right")] - x[:, :, :, skeleton.index("shoulder_left")]
    right, away = across[:, 0], across[:, 2]  # (N, T, M)
    if by_clip:
        angle = torch.arccos(right / (torch.hypot(right, away) + 1e-4))
        angle = torch.where(away.sum(1, keepdim=True) >= 0, -angle, angle)
    else:
        angle = -torch.atan2(away, right)
    cosine, sine = angle.cos()[:, :, None], angle.sin()[:, :, None]
    turned = torch.empty_like(x)
    turned[:, 0] = cosine * x[:, 0] - sine * x[:, 2]
    turned[:, 1] = x[:, 1]
    turned[:, 2] = sine * x[:, 0] + cosine * x[:, 2]
    return turned
