"""Batches: skeletons from one tensor on the training device, pictures from JPEGs.

Order and augmentation of an epoch depend on (seed, epoch) alone, so a run that is continued sees what it would have
seen, and several processes together see what one would have seen: they share the clips of each step out.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmcl.errors import UserError
from mmcl.skeleton.ragged import Ragged
from mmcl.store import Shards
from mmcl.training.feeders import make_feeder

EVERY_EPOCH = -1
"""Stands for an epoch's number in the seed of random numbers that all epochs share."""


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of 63 bits for one epoch of one process; near numbers give unrelated seeds."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass
class Batch:
    """What `CoLearner.losses` takes."""

    x: Tensor
    labels: Tensor
    picture: Tensor | None = None
    has_picture: Tensor | None = None
    answer: Tensor | None = None
    has_answer: Tensor | None = None
    taught: Any = None


@dataclass
class TrainingData:
    """The training clips with what belongs to them, but for the skeletons on the training device.

    Attributes:
        names: N clips.
        clips: their skeletons, on the CPU.
        labels: (N) int64.
        layout: joint layout.
        picture, has_picture: (N, D) and (N), or None: features of a frozen CNN.
        montages: pictures for a CNN that is trained along, or None.
        answer, has_answer: (N, D) and (N), or None.
    """

    names: list[str]
    clips: Ragged
    labels: Tensor
    layout: str
    picture: Tensor | None = None
    has_picture: Tensor | None = None
    montages: Shards | None = None
    answer: Tensor | None = None
    has_answer: Tensor | None = None


class Loader:
    """Batches of training clips, epoch by epoch; of each batch the part that this process trains with.

    Incomplete batches at an epoch's end are dropped. With fewer clips than a batch holds, all of them are the
    batch, as far as they can be shared out evenly.

    Args:
        data: the clips.
        stream: which stream.
        settings: the `train` section.
        seed: of the run.
        workers: processes that decode pictures; 0 for none.
        rank: which of the training processes this is.
        world: how many there are.

    Attributes:
        batch: clips of a step, over all processes.
        steps: of an epoch.
        teachers: are shown what the feeder drew for a batch, and say what its `taught` is; None.

    Raises:
        UserError: a batch cannot be shared out evenly, or there are fewer clips than processes.
    """

    def __init__(
        self,
        data: TrainingData,
        stream: str,
        settings: dict,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        self.data = data
        self.feeder = make_feeder(settings, stream, data.layout)
        self.clips = self.feeder.keep(data.clips).to(data.labels.device)
        self.settings = settings
        self.seed = seed
        self.rank = rank
        self.world = world
        total = len(data.names) * settings["repeat"]
        if settings["batch"] % world or total < world:
            raise UserError(
                f"train.batch {settings['batch']}, of {total} clips: cannot be shared out evenly among {world} GPUs"
            )
        self.batch = min(settings["batch"], total - total % world)
        self.steps = total // self.batch
        self.teachers: Callable[[Any], Any] | None = None
        self._pictures = None
        if data.montages is not None:
            self._pictures = _Pictures(Montages(data.montages, data.names), workers)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch (counted from 0), prepared on the device as they are asked for."""
        data, place = self.data, self.data.labels.device
        # all processes draw the same, each takes its own part: no two clips share their random numbers
        order = augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        if self.settings.get("same_augmentation", False):
            # as in the released training, whose workers were seeded alike in every epoch (recipe `reference`)
            augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, EVERY_EPOCH))
        draw = self.feeder.draw(data.clips.length.cpu(), order, augmentation)
        size = self.batch // self.world
        firsts = range(self.rank * size, self.steps * self.batch, self.batch)
        parts = [slice(first, first + size) for first in firsts]
        pictures = (
            None if self._pictures is None else self._pictures.in_order([draw.order[part] for part in parts])
        )
        draw = draw._make(numbers.to(place) for numbers in draw)
        for part in parts:
            own = draw._make(numbers[part] for numbers in draw)
            rows = own.order
            batch = Batch(self.feeder.training_view(self.clips, own), data.labels[rows])
            if pictures is not None:
                batch.picture, batch.has_picture = (
                    found.to(place, non_blocking=True) for found in next(pictures)
                )
            elif data.picture is not None and data.has_picture is not None:
                batch.picture, batch.has_picture = data.picture[rows], data.has_picture[rows]
            if data.answer is not None and data.has_answer is not None:
                batch.answer, batch.has_answer = data.answer[rows], data.has_answer[rows]
            if self.teachers is not None:
                batch.taught = self.teachers(own)
            yield batch


class Montages(Dataset):
    """Pictures by row number: uint8 (H, W, 3), or None where there is none or it is damaged."""

    def __init__(self, shards: Shards, names: list[str]):
        self.shards = shards
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> np.ndarray | None:
        from mmcl.video import jpeg

        name = self.names[row]
        if name not in self.shards:
            return None
        try:
            return jpeg.decode(bytes(self.shards.row("images", name)))
        except UserError:
            return None


def collate(pictures: list[np.ndarray | None]) -> tuple[Tensor, Tensor]:
    """Pictures (B, H, W, 3) uint8, black where there is none, and which there are (B) bool."""
    has = torch.tensor([picture is not None for picture in pictures])
    shape = next((picture.shape for picture in pictures if picture is not None), (1, 1, 3))
    stacked = torch.zeros(len(pictures), *shape, dtype=torch.uint8)
    for row, picture in zip(stacked, pictures, strict=True):
        if picture is not None:
            row.copy_(torch.from_numpy(picture))
    return stacked, has


class _Pictures:
    """A DataLoader whose workers live on from epoch to epoch and which takes its batches from us."""

    def __init__(self, montages: Montages, workers: int):
        self._batches: list[list[int]] = []
        self._loader = DataLoader(
            montages,
            batch_sampler=self._batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )

    def in_order(self, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        self._batches[:] = [rows.tolist() for rows in batches]
        return iter(self._loader)
