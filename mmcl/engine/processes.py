"""What the processes of one training exchange, by torch.distributed; nothing if there is only one."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmcl.device import pick_device


@dataclass(frozen=True)
class Processes:
    """The processes of a training, of which this is one.

    Attributes:
        rank: its number; 0 writes.
        world: how many there are.
        device: of this process.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=pick_device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def parallel(self, net: nn.Module, **options: Any) -> nn.Module:
        """A network whose gradients are averaged over the processes; `net` itself if there is only one.

        Batch norms use the statistics of their own process's clips, as in the reference's DataParallel; see
        `share_buffers`.

        Args:
            net: the network, with equal weights in all processes.
            options: of DistributedDataParallel.
        """
        if self.world == 1:
            return net
        own = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            # newer versions of torch have another name for broadcast_buffers
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(net, device_ids=own, broadcast_buffers=False, **options)

    def sum(self, values: Tensor) -> Tensor:
        """Values added up over the processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def share_buffers(self, net: nn.Module) -> None:
        """Give all processes the buffers (running statistics) of the first, whose network is the one that is kept."""
        if self.world > 1:
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process runs the block before the others do."""
        if not self.first:
            self._barrier()
        yield
        if self.first:
            self._barrier()

    def _barrier(self) -> None:
        if self.world > 1:
            index = self.device.index
            dist.barrier(device_ids=[index] if self.device.type == "cuda" and index is not None else None)
