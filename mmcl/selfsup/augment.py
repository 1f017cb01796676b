"""The random changes that make two views of a clip, for a whole batch at once on the training device."""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.layouts import get_layout
from mmcl.settings.selfsup import AugmentationSettings
from mmcl.skeleton.transforms import rotation_matrices


class ViewDraw(NamedTuple):
    """The random numbers of P views.

    Attributes:
        share: (P) float64, part of the clip to keep, for a crop that is resampled.
        position: (P) float64 in [0, 1), where among the possible first frames a crop begins.
        matrix: (P, 3, 3), what joints are multiplied with.
        bones: (P, V), factors of the bones from the joints' parents to them.
    """

    share: Tensor
    position: Tensor
    matrix: Tensor
    bones: Tensor

    def to(self, device: torch.device) -> "ViewDraw":
        """The same on another device."""
        return ViewDraw(*(numbers.to(device) for numbers in self))

    def part(self, views: slice) -> "ViewDraw":
        """The numbers of some of the views."""
        return ViewDraw(*(numbers[views] for numbers in self))


def draw_views(
    count: int, joints: int, settings: AugmentationSettings, generator: torch.Generator
) -> ViewDraw:
    """Draw for `count` views.

    Args:
        count: P.
        joints: V.
        settings: their bounds.
        generator: of the random numbers; as many are drawn whatever the settings, except those of bones, which are
            drawn only where they change anything.
    """
    low, high = settings.crop
    share, position = torch.rand(2, count, dtype=torch.float64, generator=generator)
    shear = (2 * torch.rand(count, 6, generator=generator) - 1) * settings.shear
    angles = (2 * torch.rand(count, 3, generator=generator) - 1) * settings.rotation
    bones = torch.ones(count, joints)
    if settings.bones:
        bones += (2 * torch.rand(count, joints, generator=generator) - 1) * settings.bones
    matrix = rotation_matrices(angles) @ shear_matrices(shear)
    return ViewDraw(low + (high - low) * share, position, matrix, bones)


def shear_matrices(entries: Tensor) -> Tensor:
    """Matrices with ones on the diagonal and these entries off it, row by row: (P, 6) -> (P, 3, 3).

    CrosSCLR's and AimCLR's shear draws the entries from U(−β, β), β = 0.5.
    """
    matrix = torch.eye(3, device=entries.device).repeat(len(entries), 1, 1)
    off_diagonal = ~torch.eye(3, dtype=torch.bool, device=entries.device)
    matrix[:, off_diagonal] = entries
    return matrix


def mirrored_frames(position: Tensor, window: int, padding: int) -> Tensor:
    """Frames of a crop from a clip that is continued at both ends by its mirror image.

    CrosSCLR's temporal crop: `padding` frames on each side, …, 1, 0, 0, 1, …, and of all these `window` in a row.

    Args:
        position: (B) in [0, 1), where among the 2 · padding + 1 possible frames the crop begins.
        window: frames of the clip and of the crop.
        padding: at most `window`.

    Returns:
        (B, window) int64.
    """
    first = (position * (2 * padding + 1)).long() - padding
    frames = first[:, None] + torch.arange(window, device=position.device)
    frames = torch.where(frames < 0, -1 - frames, frames)
    return torch.where(frames >= window, 2 * window - 1 - frames, frames)


def transform(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the joints of each clip (B, 3, T, V, M) with its own matrix (B, 3, 3)."""
    return torch.bmm(matrix, x.flatten(2)).view(x.shape)


def stretch_bones(x: Tensor, bones: Tensor, layout: str) -> Tensor:
    """Change the length of every bone of a clip and keep its direction.

    The bone length operation of PoseAug (Gong et al., CVPR 2021). Without it encoders can identify the two views of
    a clip by the person's proportions.

    Args:
        x: (B, 3, T, V, M); the root stays where it is.
        bones: (B, V), factors of the bones from the joints' parents to them; the root's is not used.
        layout: joint layout.

    Returns:
        The same shape as x.
    """
    to_joints, to_bones = _bones(layout, x.dtype, x.device)
    factors = bones.to(x, copy=True)
    factors[:, get_layout(layout).root].fill_(1)
    return torch.einsum("bvw,bctwm->bctvm", (to_joints * factors[:, None]) @ to_bones, x)


@cache
def _bones(layout: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bones -> joints, and joints -> bones, (V, V) each; the root's position stands in the root's row."""
    parents, root = get_layout(layout).parents, get_layout(layout).root
    to_bones = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if joint != root:
            to_bones[joint, parent] = -1
    to_joints = torch.linalg.inv(to_bones).round()
    return to_joints.to(device, dtype), to_bones.to(device, dtype)
