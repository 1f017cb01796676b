"""Batches of pre-training: two views of every clip, and never a label.

Order and augmentation of an epoch depend on (seed, epoch) alone, as in `mmcl.training.loader`.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.selfsup.augment import Draw, draw
from mmcl.selfsup.views import Views
from mmcl.training.loader import EVERY_EPOCH, epoch_seed

Pair = tuple[dict[str, Tensor], dict[str, Tensor]]


class Pairs:
    """Two views of clips, epoch by epoch; of each batch the part that this process trains with.

    Incomplete batches at an epoch's end are dropped. With fewer clips than a batch holds, all of them are the
    batch, as far as they can be shared out evenly.

    Args:
        views: of the N clips.
        first, second: modalities of the first and of the second view.
        batch: clips of a step, over all processes.
        settings: `augmentation`, see `mmcl.selfsup.augment.draw`; with its `same`, every epoch draws the same.
        seed: of the run.
        rank: which of the training processes this is.
        world: how many there are.

    Attributes:
        batch: clips of a step, over all processes.
        steps: of an epoch.

    Raises:
        UserError: a batch cannot be shared out evenly, or there are fewer than two clips for a process.
    """

    def __init__(
        self,
        views: Views,
        first: Sequence[str],
        second: Sequence[str],
        *,
        batch: int,
        settings: dict,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ):
        self.views = views
        self.modalities = first, second
        self.augmentation = settings["augmentation"]
        self.seed = seed
        self.rank = rank
        self.world = world
        self.count = len(views.clips.length)
        self.batch = min(batch, self.count - self.count % world)
        if batch % world or self.batch < 2 * world:
            raise UserError(
                f"selfsup.batch {batch}, of {self.count} training clips: cannot be shared out evenly among {world} "
                "processes with two clips or more each"
            )
        self.steps = self.count // self.batch

    def epoch(self, epoch: int) -> Iterator[Pair]:
        """The batches of an epoch, prepared on the device as they are asked for."""
        # all processes draw the same, each takes its own part: no two clips share their random numbers
        order = augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        if self.augmentation["same"]:
            # as in the released training, whose workers were seeded alike in every epoch (recipe `reference`)
            augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, EVERY_EPOCH))
        place = self.views.clips.length.device
        rows = torch.randperm(self.count, generator=order).to(place)
        joints = self.views.clips.joints.shape[2]
        draws = [draw(self.count, joints, self.augmentation, augmentation) for _ in self.modalities]
        draws = [Draw(*(numbers.to(place) for numbers in one)) for one in draws]
        size = self.batch // self.world
        for start in range(self.rank * size, self.steps * self.batch, self.batch):
            part = slice(start, start + size)
            first, second = (
                self.views.augmented(rows[part], Draw(*(numbers[part] for numbers in one)), names)
                for one, names in zip(draws, self.modalities, strict=True)
            )
            yield first, second
