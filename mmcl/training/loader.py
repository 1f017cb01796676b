"""Batches: skeletons from one tensor on the training device, and the inputs of the co-learning terms.

Order and augmentation of an epoch depend on (seed, epoch) alone, so a run that is resumed sees what it would have
seen, and several processes together see what one would have seen: they share the clips of each step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmcl.colearn.inputs import Complete, Input, Masked
from mmcl.colearn.term import Batch, weights
from mmcl.engine.seeds import EVERY_EPOCH, epoch_seed
from mmcl.errors import UserError
from mmcl.precision import exact
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.training.feeders import make_feeder


@dataclass
class TrainingData:
    """The training clips; all but the skeletons on the training device.

    Attributes:
        names: of the N clips.
        clips: their skeletons, on the CPU.
        labels: (N) int64.
        layout: joint layout.
        inputs: of the co-learning terms, by name.
    """

    names: list[str]
    clips: Ragged
    labels: Tensor
    layout: str
    inputs: dict[str, Input] = field(default_factory=dict)


class Drawn(NamedTuple):
    """Clips of a batch before they are seen.

    Attributes:
        draw: of the feeder, B rows.
        inputs, weights: see `Batch`.
    """

    draw: Any
    inputs: dict[str, Any]
    weights: dict[str, Tensor]


class Loader:
    """Batches of training clips, epoch by epoch; of each batch the part that this process trains with.

    Incomplete batches at an epoch's end are dropped. With fewer clips than a batch holds, all of them are the
    batch, as far as they can be shared out evenly.

    Args:
        data: the clips.
        stream: what of the skeleton is seen.
        settings: the `train` section.
        seed: of the run.
        rank: number of this process.
        world: how many train together.

    Attributes:
        batch: clips of a step, over all processes.
        steps: of an epoch.

    Raises:
        UserError: a batch cannot be shared out evenly, or there are fewer clips than processes.
    """

    def __init__(
        self,
        data: TrainingData,
        stream: str,
        settings: TrainSettings,
        seed: int,
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
        total = len(data.names) * settings.repeat
        if settings.batch % world or total < world:
            raise UserError(
                f"train.batch {settings.batch}, of {total} clips: cannot be shared out evenly among {world} GPUs"
            )
        self.batch = min(settings.batch, total - total % world)
        if self.batch // world < settings.accumulate:
            raise UserError(
                f"train.accumulate: a batch of {self.batch // world} clips has no {settings.accumulate} parts"
            )
        self.steps = total // self.batch

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch (counted from 0), each prepared on the device when it is asked for."""
        return map(self.view, self.drawn(epoch))

    def view(self, drawn: Drawn) -> Batch:
        """The clips that were drawn, as the network sees them. Whatever the precision of the network, they keep all
        their digits: motion is a small difference of positions."""
        with exact(self.clips.joints.device):
            x = self.feeder.training_view(self.clips, drawn.draw)
        return Batch(x, self.data.labels[drawn.draw.order], drawn.inputs, drawn.weights)

    def drawn(self, epoch: int) -> Iterator[Drawn]:
        """What the batches of an epoch are made of by `view`; no size in that depends on what was drawn."""
        data, device = self.data, self.data.labels.device
        # all processes draw the same numbers and each takes its own part, so that no two clips share theirs
        order = augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        if self.settings.same_augmentation:
            # as in the released training, whose workers were seeded alike in every epoch (recipe `reference`)
            augmentation = torch.Generator().manual_seed(epoch_seed(self.seed, EVERY_EPOCH))
        draw = self.feeder.draw(data.clips.length.cpu(), order, augmentation)
        draw = draw._make(numbers.to(device) for numbers in draw)
        size = self.batch // self.world
        firsts = range(self.rank * size, self.steps * self.batch, self.batch)
        parts = [slice(first, first + size) for first in firsts]
        inputs = {name: one.epoch(draw, parts) for name, one in data.inputs.items()}
        for part in parts:
            own = draw._make(numbers[part] for numbers in draw)
            values = {name: next(one) for name, one in inputs.items()}
            yield Drawn(own, values, self._weights(values))

    def _weights(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """Those of inputs that not all clips of a batch have, where it is processed in parts."""
        if self.settings.accumulate == 1:
            return {}
        return {
            name: weights(values.mask)
            for name, values in inputs.items()
            if isinstance(values, Masked) and not isinstance(values, Complete)
        }
