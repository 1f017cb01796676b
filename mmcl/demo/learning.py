"""What the trainings of the demo's networks share: the order of pictures, and augmentation."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import nn

from mmcl.device import pick_device
from mmcl.engine.loop import Task
from mmcl.settings.demo import NetworkTraining

Batch = TypeVar("Batch")


def begin(seed: int, threads: int) -> tuple[np.random.Generator, torch.device]:
    """Seed torch; return the generator of all random numbers for pictures, and the device."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return np.random.default_rng(seed), pick_device()


class PicturesTask(Task[Batch], Generic[Batch]):
    """A training on pictures in random order, an incomplete last batch left out.

    All epochs draw from one generator; a run that is resumed draws the batches of the complete epochs again.

    Args:
        net: the network, on the device.
        count: number of pictures.
        settings: of the training.
        seed: of the run.
        rng: of order and augmentation.
    """

    def __init__(
        self, net: nn.Module, count: int, settings: NetworkTraining, seed: int, rng: np.random.Generator
    ):
        self.net = net.train()
        self.count = count
        self.batch = settings.batch
        self.steps = count // settings.batch
        self.seed = seed
        self.rng = rng

    def begin(self, done: int) -> None:
        """See `Task`."""
        for epoch in range(done):
            for _ in self.batches(epoch):
                pass

    def batches(self, epoch: int) -> Iterator[Batch]:
        """See `Task`."""
        order = self.rng.permutation(self.count)
        for i in range(self.steps):
            yield self.presented(order[i * self.batch : (i + 1) * self.batch])

    def presented(self, rows: np.ndarray) -> Batch:
        """A batch of these pictures, augmented."""
        raise NotImplementedError


def augment(
    montage: np.ndarray, points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror all strips alike, shift by a few pixels, change brightness and contrast.

    The strips keep their order, which is that of time.

    Args:
        montage: (S, S, 3) uint8 with S a multiple of the number of strips.
        points: one (x, y) per strip in parts of S, (m, 2), NaN where there is none; they move along.
        rng: random numbers.
    """
    size, strips = len(montage), len(points)
    if rng.random() < 0.5:
        montage = montage.reshape(size, strips, -1, 3)[:, :, ::-1].reshape(size, size, 3)
        left_and_right = (2 * np.arange(strips) + 1) / strips
        points = np.stack([left_and_right - points[:, 0], points[:, 1]], 1)
    down, right = rng.integers(-4, 5, 2)
    montage = np.roll(montage, (down, right), (0, 1))
    points = (points + np.array([right, down]) / size) % 1
    gain, offset = rng.uniform(0.85, 1.18), rng.uniform(-14, 14)
    return np.clip(montage.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8), points
