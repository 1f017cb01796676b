"""What the trainers of the demo's weights share: batches and augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

STRIPS = 5


def begin(settings: dict, threads: int) -> tuple[np.random.Generator, torch.device]:
    """Seed everything from ``settings["seed"]``; return the random numbers for pictures, and the device."""
    import torch

    from mmcl import device

    torch.set_num_threads(threads)
    torch.manual_seed(settings["seed"])
    return np.random.default_rng(settings["seed"]), device.pick()


def batches(count: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers in random order, ``batch`` at a time; an incomplete last batch is left out."""
    order = rng.permutation(count)
    for i in range(count // batch):
        yield order[i * batch : (i + 1) * batch]


def augment(
    montage: np.ndarray, points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror every strip alike, shift by a few pixels, change brightness and contrast.

    The strips stay in their order: it is time.

    Args:
        montage: (S, S, 3) uint8 with S a multiple of 5.
        points: one (x, y) per strip in parts of S, (5, 2), NaN where there is none; they move along.
        rng: random numbers.
    """
    size = len(montage)
    if rng.random() < 0.5:
        montage = montage.reshape(size, STRIPS, -1, 3)[:, :, ::-1].reshape(size, size, 3)
        left_and_right = (2 * np.arange(STRIPS) + 1) / STRIPS
        points = np.stack([left_and_right - points[:, 0], points[:, 1]], 1)
    down, right = rng.integers(-4, 5, 2)
    montage = np.roll(montage, (down, right), (0, 1))
    points = (points + np.array([right, down]) / size) % 1
    gain, offset = rng.uniform(0.85, 1.18), rng.uniform(-14, 14)
    return np.clip(montage.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8), points
