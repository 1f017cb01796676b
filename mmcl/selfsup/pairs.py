"""Batches of pre-training: two views of every clip, without labels.

Order and augmentation of an epoch depend on (seed, epoch) alone, as in `mmcl.training.loader`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.engine.seeds import EVERY_EPOCH, epoch_seed
from mmcl.errors import UserError
from mmcl.precision import exact
from mmcl.selfsup.augment import ViewDraw, draw_views
from mmcl.selfsup.views import AugmentedViews


class PairDraw(NamedTuple):
    """Which clips a step sees, and the random numbers of their two views.

    Attributes:
        rows: (B) int64.
        first, second: of B views.
    """

    rows: Tensor
    first: ViewDraw
    second: ViewDraw


class Pair(NamedTuple):
    """Two views of B clips, each modality → (B, 3, T, V, M)."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]


class Pairs:
    """Two views of clips, epoch by epoch; of each batch the part that this process trains with.

    Incomplete batches at an epoch's end are dropped. With fewer clips than a batch holds, all of them are the
    batch, as far as they can be shared out evenly.

    Args:
        views: of the N clips.
        first, second: modalities of the first and of the second view.
        batch: clips of a step, over all processes.
        seed: of the run.
        rank: number of this training process.
        world: how many there are.

    Attributes:
        batch: clips of a step, over all processes.
        steps: of an epoch.

    Raises:
        UserError: a batch cannot be shared out evenly, or there are fewer than two clips for a process.
    """

    def __init__(
        self,
        views: AugmentedViews,
        first: Sequence[str],
        second: Sequence[str],
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ):
        self.views = views
        self.modalities = first, second
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

    def epoch(self, epoch: int) -> Iterator[PairDraw]:
        """The batches of an epoch, on the device; `seen` gives their views.

        All are of the same shapes, and a view depends on nothing else, so that making it can be part of a step that
        is captured as a CUDA graph.
        """
        # all processes draw the same numbers, each uses its own part: no two clips share their random numbers
        order = augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        settings = self.views.augmentation
        if settings.same:
            # as in the released training, whose workers had equal seeds in every epoch (recipe `reference`)
            augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, EVERY_EPOCH))
        device = self.views.clips.length.device
        rows = torch.randperm(self.count, generator=order).to(device)
        joints = self.views.clips.joints.shape[2]
        draws = [draw_views(self.count, joints, settings, augmentation) for _ in self.modalities]
        draws = [draw.to(device) for draw in draws]
        size = self.batch // self.world
        for start in range(self.rank * size, self.steps * self.batch, self.batch):
            part = slice(start, start + size)
            yield PairDraw(rows[part], *(draw.part(part) for draw in draws))

    def seen(self, draw: PairDraw) -> Pair:
        """The two views."""
        rows, *draws = draw
        # positions in metres need more than the three digits of bfloat16 and TF32
        with exact(rows.device):
            return Pair(
                *(
                    self.views.augmented(rows, own, names)
                    for own, names in zip(draws, self.modalities, strict=True)
                )
            )
