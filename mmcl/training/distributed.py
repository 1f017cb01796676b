"""What the processes of one training exchange; by plain torch.distributed, and nothing where there is one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmcl import device
from mmcl.models.colearn import CoLearner, Losses


@dataclass(frozen=True)
class Processes:
    """The processes of a training, of which this is one.

    Attributes:
        rank: which one; 0 writes.
        world: how many.
        device: of this one.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=device.pick)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def losses_of(self, model: CoLearner) -> Callable[..., Losses]:
        """`model.losses` whose gradients are averaged over the processes.

        The networks begin equal. Batch norms see the clips of their own process (as in the DataParallel of the
        reference), and so do FAM's negatives unless it gathers.
        """
        return model.losses if self.world == 1 else self.parallel(_LossesOf(model))

    def parallel(self, net: nn.Module, **options: Any) -> nn.Module:
        """A network whose gradients are averaged over the processes; itself where there is one.

        Args:
            net: the network.
            options: of DistributedDataParallel.
        """
        if self.world == 1:
            return net
        own = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=own, **options)

    def sum(self, values: Tensor) -> Tensor:
        """Values added up over the processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def share_buffers(self, model: nn.Module) -> None:
        """Give all processes the running statistics of the first one, whose network is the one that is kept."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes first, the others follow when it is done."""
        if not self.first:
            self._meet()
        yield
        if self.first:
            self._meet()

    def _meet(self) -> None:
        if self.world > 1:
            dist.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)


class _LossesOf(nn.Module):
    """A module whose forward is the losses, for DistributedDataParallel to wrap."""

    def __init__(self, model: CoLearner):
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Losses:
        losses = self.model.losses(**batch)
        # FAM and FRM rest where no clip of this process has a picture or an answer, while other processes wait
        # for the gradients of their parameters: nought times each makes them zero instead of absent
        parts = (self.model.fam, self.model.frm, self.model.cnn)
        idle = [p.sum() for part in parts if part is not None for p in part.parameters() if p.requires_grad]
        return losses._replace(total=losses.total + 0 * sum(idle)) if idle else losses
