"""One step of a training: losses, their gradients, the optimizer's step, and the sums that the history is made of."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmcl.engine.graphs import Graphs, graphs_of
from mmcl.engine.leaves import form, mapped, split, tensors
from mmcl.engine.optimizers import Optimizing
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.task import Batch, Losses, Task

log = logging.getLogger(__name__)


WARM = 3
"""Steps of a form that run one operation after another before it is recorded: kernels are compiled, checked and chosen,
and the optimizer makes its buffers."""


def make_step(
    task: Task[Batch],
    optimizing: Optimizing,
    processes: Processes,
    losses_of: Callable[[Batch], Losses] | None = None,
    graphs: Graphs | None = None,
) -> "Step[Batch]":
    """The steps of a training, one batch after another:

        step = make_step(task, build_optimizer(task.net, settings, task.steps), Processes())
        step.begin()                       # of an epoch: sums become zero
        for batch in task.batches(epoch):
            step(batch)
        means = step.means()               # {"loss": …, term: …}; a GPU is waited for here alone

    On one GPU the first steps run operation by operation, then a step is recorded as a CUDA graph and replayed, see
    `Step`. Graphs of several members can be replayed at the same time from one process: each has a step of its own,
    called under `torch.cuda.stream` with a stream of its own. They share torch's generator of random numbers.

    Args:
        task: what is trained; of it are used `net`, `losses`, `precision`, `accumulate`, `max_gradient_norm`,
            `clipped_parameters`, `after_step`, `label`, and with several processes `optional_parameters`.
        optimizing: of the network's parameters.
        processes: that train together.
        losses_of: instead of `task.losses`.
        graphs: how steps are recorded; None for CUDA graphs where there are any.
    """
    reason = ""
    if graphs is None:
        graphs, reason = graphs_of(processes)
    step = Step(task, optimizing, processes, losses_of or in_parallel(task, processes), graphs)
    if reason:
        step.say(reason)
    return step


class _Recorded(NamedTuple):
    """A step as a graph.

    Attributes:
        form: of its batches, see `leaves.form`.
        inputs: where it finds them.
        replay: does the step.
        weight: see `Losses`.
    """

    form: Hashable
    inputs: list[Tensor]
    replay: Callable[[], None]
    weight: float


class Step(Generic[Batch]):
    """See `make_step`. A step belongs to a set of trained parameters: where that changes, another is made.

    What is recorded: `task.losses` with its backward pass, the limit on gradients, the optimizer's step,
    `task.after_step` and the sums. From then on the Python code of these is not run any more. A batch is copied to
    where the graph finds it. The first form of batches that occurs often enough is recorded, see `leaves.form`; batches
    of another form, and all where nothing can be recorded, run operation by operation, to the same results.

    Attributes:
        names: of the sums: loss, and the terms.
        weight: of the batches since `begin`.
        recorded: whether there is a graph.
    """

    def __init__(
        self,
        task: Task[Batch],
        optimizing: Optimizing,
        processes: Processes,
        losses_of: Callable[[Batch], Losses],
        graphs: Graphs | None = None,
    ):
        self.task = task
        self.optimizing = optimizing
        self.processes = processes
        self.losses_of = losses_of
        self.names: list[str] = []
        self.weight = 0.0
        self._sums: Tensor | None = None
        self._rates: list[float] = []
        self._graphs = graphs
        self._graph: _Recorded | None = None
        self._met: Counter[Hashable] = Counter()
        self._said: set[str] = set()

    @property
    def recorded(self) -> bool:
        """See the class."""
        return self._graph is not None

    def begin(self) -> None:
        """Begin an epoch."""
        self.weight = 0.0
        if self._sums is not None:
            self._sums.zero_()

    def __call__(self, batch: Batch) -> None:
        """Train with a batch.

        Raises:
            RuntimeError: other terms than in the step before.
        """
        rates = [group["lr"] for group in self.optimizing.optimizer.param_groups]
        if rates != self._rates:
            self.optimizing.update_rates()
            self._rates = rates
        self.weight += self._do(batch)
        if self.optimizing.every_step:
            self.optimizing.scheduler.step()

    def means(self) -> dict[str, float]:
        """The weighted means of the loss and its terms over the steps since `begin`, and over the processes."""
        assert self._sums is not None
        sums, weight = self._sums, self.weight
        if self.processes.world > 1:
            weight = float(self.processes.sum(torch.tensor(weight, dtype=torch.float64, device=sums.device)))
            sums = self.processes.sum(sums.clone())
        return dict(zip(self.names, (sums / weight).tolist(), strict=True))

    def say(self, reason: str) -> None:
        """Log, once, why steps are not recorded."""
        if reason not in self._said:
            self._said.add(reason)
            log.info("%s: steps run operation by operation, not as a CUDA graph: %s", self.task.label, reason)

    def _do(self, batch: Batch) -> float:
        """A step, recorded or not. Returns the weight of the batch."""
        if self._graphs is None:
            return self._work(batch)
        try:
            own = form(batch)
        except TypeError as error:
            self.say(str(error))
            return self._work(batch)
        graph = self._graph
        if graph is None:
            return self._towards_graph(self._graphs, batch, own)
        if own != graph.form:
            self.say("other sizes or kinds of tensors than those of the graph")
            return self._work(batch)
        for there, value in zip(graph.inputs, tensors(batch), strict=True):
            there.copy_(value, non_blocking=True)
        graph.replay()
        return graph.weight

    def _towards_graph(self, graphs: Graphs, batch: Batch, own: Hashable) -> float:
        """A step before there is a graph, which is made where this form of batches has occurred often enough."""
        weights: list[float] = []
        self._met[own] += 1
        if self._met[own] <= WARM:
            reason = graphs.warm(lambda: weights.append(self._work(batch)), self._met[own] == WARM)
            if reason:
                self.say(reason)
                self._met[own] = WARM + 1  # never recorded
            return weights[0]
        if self._met[own] > WARM + 1:
            return self._work(batch)
        copies: Batch = mapped(batch, Tensor.clone)
        self.optimizing.optimizer.zero_grad()  # the graph has gradients of its own
        generator = torch.get_rng_state()
        try:
            replay = graphs.record(lambda: weights.append(self._work(copies)))
        except Exception as error:  # whatever an operation, the driver or the allocator raises
            self.say(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
            torch.set_rng_state(generator)
            self.optimizing.optimizer.zero_grad()
            return self._work(batch)
        log.debug("%s: steps are replayed as a CUDA graph", self.task.label)
        self._graph = _Recorded(own, tensors(copies), replay, weights[0])
        replay()
        return weights[0]

    def _work(self, batch: Batch) -> float:
        """A step, operation by operation. Returns the weight of the batch."""
        task, optimizer = self.task, self.optimizing.optimizer
        optimizer.zero_grad()
        weight = 0.0
        sums: Tensor | None = None
        parts = split(batch, task.accumulate)
        for number, (part, share) in enumerate(parts, start=1):
            with nullcontext() if number == len(parts) else _kept_apart(self.losses_of):
                with autocast(task.precision, self.processes.device):
                    losses = self.losses_of(part)
                (losses.total if share == 1 else losses.total * share).backward()
            names, values = _values(losses)
            scale = losses.weight * share
            values = values if scale == 1 else values * scale
            sums = values if sums is None else sums + values
            weight += scale
        if task.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(task.clipped_parameters(), task.max_gradient_norm)
        self.optimizing.step()
        task.after_step(losses)
        assert sums is not None
        self._add(names, sums)
        return weight

    def _add(self, names: list[str], values: Tensor) -> None:
        if names != self.names:
            if self.weight or self._graph:
                raise RuntimeError(f"terms of a step {names[1:]}, of the first {self.names[1:]}")
            self.names, self._sums = names, None
        if self._sums is None:
            self._sums = torch.zeros_like(values)
        self._sums += values


def _values(losses: Losses) -> tuple[list[str], Tensor]:
    """The names of the loss and its terms, and their values in one tensor."""
    values = torch.stack([losses.total.detach(), *(value.detach() for value in losses.terms.values())])
    return ["loss", *losses.terms], values


def _kept_apart(losses_of: Callable[[Any], Losses]) -> AbstractContextManager[Any]:
    """Gradients stay in their process until the last part of a batch."""
    return losses_of.no_sync() if isinstance(losses_of, DistributedDataParallel) else nullcontext()


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
