"""One step of a training: losses, their gradients, the optimizer's step, and the sums that the history is made of."""

from collections.abc import Callable
from typing import Any, Generic

import torch
from torch import Tensor, nn

from mmcl.engine.optimizers import Optimizing
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.task import Batch, Losses, Task


def make_step(
    task: Task[Batch],
    optimizing: Optimizing,
    processes: Processes,
    losses_of: Callable[[Batch], Losses] | None = None,
) -> "Step[Batch]":
    """The steps of a training, one batch after another:

        step = make_step(task, build_optimizer(task.net, settings, task.steps), Processes())
        step.begin()                       # of an epoch: sums become zero
        for batch in task.batches(epoch):
            step(batch)
        means = step.means()               # {"loss": …, term: …}; a GPU is waited for here alone

    Args:
        task: what is trained; of it are used `net`, `losses`, `precision`, `max_gradient_norm`,
            `clipped_parameters`, `after_step`, and with several processes `optional_parameters`.
        optimizing: of the network's parameters.
        processes: that train together.
        losses_of: instead of `task.losses`.
    """
    return Step(task, optimizing, processes, losses_of or in_parallel(task, processes))


class Step(Generic[Batch]):
    """See `make_step`. A step belongs to a set of trained parameters: where that changes, another is made.

    Attributes:
        names: of the sums: loss, and the terms.
        weight: of the batches since `begin`.
    """

    def __init__(
        self,
        task: Task[Batch],
        optimizing: Optimizing,
        processes: Processes,
        losses_of: Callable[[Batch], Losses],
    ):
        self.task = task
        self.optimizing = optimizing
        self.processes = processes
        self.losses_of = losses_of
        self.begin()

    def begin(self) -> None:
        """Begin an epoch."""
        self.names: list[str] = []
        self.weight = 0.0
        self._sums: Tensor | None = None

    def __call__(self, batch: Batch) -> None:
        """Train with a batch.

        Raises:
            RuntimeError: other terms than in the step before.
        """
        self._work(batch)
        if self.optimizing.every_step:
            self.optimizing.scheduler.step()

    def means(self) -> dict[str, float]:
        """The weighted means of the loss and its terms over the steps since `begin`, and over the processes."""
        assert self._sums is not None
        weight = self.weight
        if self.processes.world > 1:
            total = torch.tensor(weight, dtype=torch.float64, device=self._sums.device)
            weight = float(self.processes.sum(total))
        return dict(zip(self.names, (self.processes.sum(self._sums) / weight).tolist(), strict=True))

    def _work(self, batch: Batch) -> None:
        task, optimizer = self.task, self.optimizing.optimizer
        with autocast(task.precision, self.processes.device):
            losses = self.losses_of(batch)
        optimizer.zero_grad()
        losses.total.backward()
        if task.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(task.clipped_parameters(), task.max_gradient_norm)
        optimizer.step()
        task.after_step(losses)
        self._add(losses)

    def _add(self, losses: Losses) -> None:
        names = ["loss", *losses.terms]
        values = torch.stack([losses.total.detach(), *(value.detach() for value in losses.terms.values())])
        if self._sums is None:
            self.names, self._sums = names, torch.zeros_like(values)
        if names != self.names:
            raise RuntimeError(f"terms of a step {names[1:]}, of the first {self.names[1:]}")
        self._sums += values if losses.weight == 1 else values * losses.weight
        self.weight += losses.weight


def in_parallel(task: Task[Batch], processes: Processes) -> Callable[[Batch], Losses]:
    """`task.losses` with gradients that are averaged over the processes."""
    if processes.world == 1:
        return task.losses
    return processes.parallel(_LossesOf(task), find_unused_parameters=task.unused_parameters)


class _LossesOf(nn.Module):
    """A module whose forward pass is the losses of a task, for DistributedDataParallel."""

    def __init__(self, task: Task[Any]):
        super().__init__()
        self.net = task.net
        self.task = task

    def forward(self, batch: Any) -> Losses:
        losses = self.task.losses(batch)
        # DistributedDataParallel takes every output for one that gradients come from, and that is the total alone
        losses = losses._replace(terms={name: value.detach() for name, value in losses.terms.items()})
        # other processes wait for the gradients of these: zero instead of none
        optional = [p.sum() for p in self.task.optional_parameters() if p.requires_grad]
        return losses._replace(total=losses.total + 0 * sum(optional)) if optional else losses
