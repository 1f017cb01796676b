"""Random changes of montages for the training of a CNN, a whole batch at once on the training device.

The strips keep their order, as it is time, and all strips of a picture change alike.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.models.cnn import MEAN
from mmcl.settings.training import AugmentSettings

ERASED = (0.1, 0.4)
"""Sides of an erased rectangle, as parts of the picture's."""


class MontageDraw(NamedTuple):
    """The random numbers of P presentations of montages.

    Attributes:
        mirror: (P) bool.
        shift: (P, 2) down and right, as parts of the side.
        contrast: (P) factor of all grey levels.
        brightness: (P) what is then added, as a part of full white.
        erase: (P, 4) top, left, height and width of an erased rectangle, as parts of the side; height and
            width are zero where nothing is erased.
    """

    mirror: Tensor
    shift: Tensor
    contrast: Tensor
    brightness: Tensor
    erase: Tensor


def draw_montages(count: int, settings: AugmentSettings, generator: torch.Generator) -> MontageDraw:
    """Random numbers of `count` presentations.

    Args:
        count: P.
        settings: of the changes.
        generator: of the random numbers; equally many are drawn for all settings.
    """
    uniform = torch.rand(count, 10, generator=generator)
    symmetric = 2 * uniform[:, :4] - 1
    sides = ERASED[0] + (ERASED[1] - ERASED[0]) * uniform[:, 4:6]
    corner = uniform[:, 6:8] * (1 - sides)
    sides = sides * (uniform[:, 8:9] < settings.erase)
    return MontageDraw(
        mirror=(uniform[:, 9] < 0.5) & settings.mirror,
        shift=symmetric[:, :2] * settings.shift,
        contrast=1 + symmetric[:, 2] * settings.contrast,
        brightness=symmetric[:, 3] * settings.brightness,
        erase=torch.cat([corner, sides], 1),
    )


def augment(images: Tensor, draw: MontageDraw, strips: int) -> Tensor:
    """Mirror, shift, change contrast and brightness, erase.

    A strip is mirrored and shifted within itself, at most by half of its width; what comes in from outside repeats its
    border.

    Args:
        images: (B, S, S, 3) uint8.
        draw: of these B presentations, on the same device.
        strips: how many a picture has.

    Returns:
        (B, S, S, 3) uint8.
    """
    count, size = images.shape[:2]
    device = images.device
    line = torch.arange(size, device=device)
    down, right = draw.shift.unbind(1)
    right = right.clamp(-1 / (2 * strips), 1 / (2 * strips))
    down, right = ((part * size).round().long() for part in (down, right))
    rows = (line - down[:, None]).clamp(0, size - 1)

    border = torch.arange(strips + 1, device=device) * size // strips
    strip = torch.searchsorted(border, line, right=True)
    first, last = border[strip - 1], border[strip] - 1
    columns = torch.minimum(torch.maximum(line - right[:, None], first), last)
    columns = torch.where(draw.mirror[:, None], first + last - columns, columns)

    which = torch.arange(count, device=device)[:, None, None]
    out = images[which, rows[:, :, None], columns[:, None, :]].float()
    out = out * draw.contrast[:, None, None, None] + 255 * draw.brightness[:, None, None, None]

    top, left, height, width = ((draw.erase * size).round().long()[:, i, None] for i in range(4))
    tall = (line >= top) & (line < top + height)
    wide = (line >= left) & (line < left + width)
    erased = tall[:, :, None] & wide[:, None, :]
    out = torch.where(erased[..., None], torch.tensor(MEAN, device=device) * 255, out)
    return out.clamp(0, 255).round().to(torch.uint8)
