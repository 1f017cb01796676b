"""The training loop: streams, pre-training, distillation, CNNs and the demo's networks are all trained by `fit`.

A training is a `Task`: a network, its batches, and its losses as named terms. From the engine come the optimizer and
its schedule, mixed precision, several processes, the history, the check that the loss is finite, evaluation while
training, and resuming to the same bits.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mmcl.engine.history import Row, as_line
from mmcl.engine.optimizers import Optimizing, build_optimizer
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.progress import progress
from mmcl.engine.resume import LastState, Mark, only_writer
from mmcl.engine.schedule import sgd_factor
from mmcl.engine.seeds import epoch_seed
from mmcl.errors import UserError, memory_reported
from mmcl.settings.training import AdamWSettings, SgdSettings
from mmcl.state_dict import check_finite

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")

LARGEST = torch.finfo(torch.float32).max ** 0.5
"""Of a weight: the square of a larger one is not finite."""
SCHEDULE = ("epochs", "warmup_epochs", "schedule", "steps", "decay", "min_rate")
"""Settings that change nothing but the learning rates of epochs."""


class Losses(NamedTuple):
    """The losses of a batch.

    Attributes:
        total: scalar to minimise.
        terms: column of the history → scalar whose mean is reported: the terms of the loss before their weights, and
            `accuracy`, a share that is reported in percent. The names are the same in all steps of an epoch and in
            all processes.
        weight: of this batch in the means.
        carry: what `Task.after_step` needs.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    weight: float = 1
    carry: Any = None


class Task(Generic[Batch]):
    """A training for `fit`. A subclass sets the attributes without a default and overrides what it needs.

    Attributes:
        net: the network, on the device, in training mode.
        label: of the progress bar.
        steps: batches of an epoch, in each process.
        seed: of the run.
        rate_key: the setting to lower if the loss is not finite, such as `train.learning_rate`.
        precision: of the forward pass, `fp32` or `bf16`.
        max_gradient_norm: gradients are scaled down to this norm; None for no limit.
        unused_parameters: whether steps leave parameters without a gradient (of DistributedDataParallel).
        evaluate_every: epochs between calls of `evaluate`, which is called after the last one, too; 0 for never.
    """

    net: nn.Module
    label: str
    steps: int
    seed: int
    rate_key: str = "learning_rate"
    precision: str = "fp32"
    max_gradient_norm: float | None = None
    unused_parameters: bool = False
    evaluate_every: int = 0

    def batches(self, epoch: int) -> Iterable[Batch]:
        """The batches of an epoch (counted from 0), of the part of the clips that this process trains with.

        They depend on the seed and the epoch alone, so that a resumed run sees what it would have seen.
        """
        raise NotImplementedError

    def losses(self, batch: Batch) -> Losses:
        """The losses of a batch; `net.losses(batch)` unless overridden."""
        losses_of: Callable[[Batch], Losses] = getattr(self.net, "losses")  # noqa: B009
        return losses_of(batch)

    def begin(self, done: int) -> None:
        """Called once before the first step, after `done` epochs of an earlier run."""

    def begin_epoch(self, epoch: int) -> bool:
        """Called before an epoch. Returns whether other parameters are trained than before."""
        return False

    def after_step(self, losses: Losses) -> None:
        """Called after each step of the optimizer."""

    def end_epoch(self, row: Row) -> None:
        """Called with the row of the history, to which it may add columns."""

    def evaluate(self) -> float:
        """Accuracy on the test split in percent, of the network as it is; it stays in training mode."""
        raise NotImplementedError

    def optional_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that get a gradient in some processes alone, such as heads of what only some clips have."""
        return ()

    def clipped_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters whose common gradient norm `max_gradient_norm` limits."""
        return self.net.parameters()

    def kept_state(self) -> dict[str, Tensor]:
        """What is kept of the network's state: a copy on the CPU."""
        return on_cpu(self.net.state_dict())


@dataclass
class Fitted:
    """A training that is complete.

    Attributes:
        history: a row for each epoch: epoch, lr, loss, the terms, seconds, and what the task adds.
        best: {epoch, top1, state} of the epoch that `evaluate` rated best, the earliest of equals; None without.
    """

    history: list[Row] = field(default_factory=list)
    best: dict[str, Any] | None = None


@contextmanager
def fit(
    task: Task[Any],
    settings: SgdSettings | AdamWSettings,
    *,
    target: Path,
    mark: Mark,
    processes: Processes,
    elsewhere: Iterable[Path] = (),
) -> Iterator[Fitted]:
    """Train a network, and hold its folder until what follows is written.

    `last.pt` beside the target is the state after an epoch. A run that was stopped resumes from it and ends with the
    same weights as one that ran through. If settings or inputs were changed so that it would not, the state is set
    aside and the run starts afresh. The file is deleted after the block of the `with` statement, in which the
    first process writes the results.

    Args:
        task: the training.
        settings: of the optimizer and its schedule.
        target: the file that the results are written to.
        mark: what its weights follow from.
        processes: that train together.
        elsewhere: where the state of the same training may lie if there is none beside the target.

    Raises:
        UserError: another process trains there; memory does not suffice; the loss or a weight is not finite, then
            `last.pt` stays that of the epoch before.
    """
    target = Path(target)
    with only_writer(target.parent) if processes.first else nullcontext():
        last = LastState(target.with_name("last.pt"), mark)
        if processes.first:
            last.adopt(elsewhere, lambda state: _goes_on(mark, state, task, settings))
        optimizing = build_optimizer(task.net, settings, task.steps)
        fitted = _resumed(task, settings, optimizing, last, processes)
        with memory_reported(_for_less_memory(task, settings)):
            _train(task, settings, optimizing, fitted, last, target, processes)
        yield fitted
        if processes.first:
            last.remove()


def _for_less_memory(task: Task[Any], settings: SgdSettings | AdamWSettings) -> str:
    section = task.rate_key.rpartition("learning_rate")[0]
    fewer = f"lower {section}batch (now {settings.batch}), and the learning rate in proportion"
    if isinstance(settings, SgdSettings) and task.precision == "fp32":
        return f"{fewer}, or set {section}precision: bf16"
    return fewer


def _resumed(
    task: Task[Any],
    settings: SgdSettings | AdamWSettings,
    optimizing: Optimizing,
    last: LastState,
    processes: Processes,
) -> Fitted:
    """The state that an earlier run left, loaded into network, optimizer and scheduler; an empty one without."""
    with processes.in_turn():  # the first process sets a damaged file aside
        state = last.load()
        if state is None:
            return Fitted()
        changes = last.mark.changes(state.get("mark"))
        if not _goes_on(last.mark, state, task, settings):
            last.set_aside(changes)
            return Fitted()
        if not last.fits(state, task.net, optimizing):
            return Fitted()
        task.net.load_state_dict(state["net"])
        optimizing.optimizer.load_state_dict(state["optimizer"])
        optimizing.scheduler.load_state_dict(state["scheduler"])
        fitted = Fitted(state["history"], state["best"])
        done = len(fitted.history)
        log.info("continuing after %d of %d epochs", done, settings.epochs)
        if changes and isinstance(settings, SgdSettings):
            log.info("from here on with other settings (%s)", "; ".join(changes.values()))
            for group in optimizing.optimizer.param_groups:
                group["lr"] = settings.learning_rate * sgd_factor(done, settings)
        if state["mark"]["evaluation"] != last.mark.evaluation:
            fitted.best = None
            if last.mark.evaluation:
                log.warning(
                    "the test split was evaluated otherwise before: best_on_test is of the epochs after %d",
                    done,
                )
        if state["processes"] != processes.world:
            log.warning(
                "it was begun with %d processes, now there are %d", state["processes"], processes.world
            )
    return fitted


def _goes_on(
    mark: Mark, state: Mapping[str, Any], task: Task[Any], settings: SgdSettings | AdamWSettings
) -> bool:
    """Whether a run comes to the same weights from a kept state as from its beginning.

    Its schedule may have changed if it gives all epochs so far the learning rate that they had.
    """
    changes, history = mark.changes(state.get("mark")), state["history"]
    section = task.rate_key.rpartition("learning_rate")[0]
    return not changes or (
        isinstance(settings, SgdSettings)
        and changes.keys() <= {section + key for key in SCHEDULE}
        and len(history) < settings.epochs
        and all(
            row["lr"] == settings.learning_rate * sgd_factor(epoch, settings)
            for epoch, row in enumerate(history)
        )
    )


def _train(
    task: Task[Any],
    settings: SgdSettings | AdamWSettings,
    optimizing: Optimizing,
    fitted: Fitted,
    last: LastState,
    target: Path,
    processes: Processes,
) -> None:
    history, done = fitted.history, len(fitted.history)
    task.begin(done)
    losses_of: Callable[[Any], Losses] | None = None
    with progress(task.label, task.steps, done, settings.epochs, processes) as bar:
        for epoch in range(done, settings.epochs):
            began = time.perf_counter()
            if task.begin_epoch(epoch) or losses_of is None:
                losses_of = _parallel(task, processes)
            rate = optimizing.optimizer.param_groups[0]["lr"]
            torch.manual_seed(epoch_seed(task.seed, epoch, processes.rank))  # for dropout
            means = _epoch(task, losses_of, epoch, optimizing, processes, bar.update)
            if not all(map(math.isfinite, means.values())):
                raise UserError(
                    f"{target}: the loss is not finite in epoch {epoch + 1}{_instead(task, epoch)}"
                )
            if not optimizing.every_step:
                optimizing.scheduler.step()
            row: Row = {"epoch": epoch + 1, "lr": rate, **means}
            if "accuracy" in row:
                row["accuracy"] = round(100 * row["accuracy"], 2)
            row["seconds"] = round(time.perf_counter() - began, 3)
            processes.share_buffers(task.net)
            _check_weights(task, optimizing, epoch, target)
            if task.evaluate_every and (
                (epoch + 1) % task.evaluate_every == 0 or epoch + 1 == settings.epochs
            ):
                row["test_top1"] = task.evaluate()
                if fitted.best is None or row["test_top1"] > fitted.best["top1"]:
                    fitted.best = {"epoch": epoch + 1, "top1": row["test_top1"], "state": task.kept_state()}
            task.end_epoch(row)
            history.append(row)
            bar.set_postfix({key: f"{row[key]:.3f}" for key in ("loss", "accuracy") if key in row})
            log.debug("%s", as_line(row))
            if processes.first:
                last.save(
                    net=task.net.state_dict(),
                    optimizer=optimizing.optimizer.state_dict(),
                    scheduler=optimizing.scheduler.state_dict(),
                    history=history,
                    best=fitted.best,
                    processes=processes.world,
                )


def _check_weights(task: Task[Any], optimizing: Optimizing, epoch: int, target: Path) -> None:
    """Check what an epoch made of the weights: its losses are those before its last step.

    Raises:
        UserError: a number of the network or the optimizer is not finite, or a weight is so large that its square is
            not.
    """
    kept = {
        f"optimizer.{number}.{name}": value
        for number, state in enumerate(optimizing.optimizer.state.values())
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    for numbers, most in ((task.net.state_dict(), LARGEST), (kept, math.inf)):
        check_finite(f"{target}: after epoch {epoch + 1}", numbers, _instead(task, epoch), most)


def _instead(task: Task[Any], done: int) -> str:
    """What to do about numbers that are not finite, after `done` epochs that were."""
    section = task.rate_key.rpartition("learning_rate")[0]
    precision = f", or set {section}precision: fp32" if task.precision == "bf16" else ""
    kept = f"; last.pt holds the state after epoch {done}" if done else ""
    return f"; lower {task.rate_key}{precision}{kept}"


def _epoch(
    task: Task[Any],
    losses_of: Callable[[Any], Losses],
    epoch: int,
    optimizing: Optimizing,
    processes: Processes,
    advance: Callable[[], Any],
) -> dict[str, float]:
    """A pass over the training clips. Returns the weighted means over steps and processes of the loss and its terms."""
    sums: Tensor | float = 0.0
    weight, names = 0.0, [""]
    for batch in task.batches(epoch):
        with autocast(task.precision, processes.device):
            losses = losses_of(batch)
        optimizing.optimizer.zero_grad()
        losses.total.backward()
        if task.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(task.clipped_parameters(), task.max_gradient_norm)
        optimizing.optimizer.step()
        if optimizing.every_step:
            optimizing.scheduler.step()
        task.after_step(losses)
        if weight and names[1:] != [*losses.terms]:
            raise RuntimeError(f"terms of a step {[*losses.terms]}, of the first {names[1:]}")
        names = ["loss", *losses.terms]
        values = torch.stack([losses.total.detach(), *(value.detach() for value in losses.terms.values())])
        sums = sums + (values if losses.weight == 1 else values * losses.weight)
        weight += losses.weight
        advance()
    if isinstance(sums, float):
        raise UserError(f"epoch {epoch + 1} has no batch to train with")
    if processes.world > 1:
        weight = float(processes.sum(torch.tensor(weight, dtype=torch.float64, device=sums.device)))
    return dict(zip(names, (processes.sum(sums) / weight).tolist(), strict=True))


def _parallel(task: Task[Any], processes: Processes) -> Callable[[Any], Losses]:
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


def on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a state dict on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def compiled_in_training(net: nn.Module, method: str, device: torch.device) -> None:
    """Let torch.compile translate a method of a network as it is in training; evaluation stays eager.

    The method is replaced and not the module, so that the names in the state dict stay.
    """
    # Inductor's channels-last layouts cut the batched products of graph convolutions up on a CPU: slower than eager
    options: dict[str, Any] | None = {"layout_optimization": False} if device.type == "cpu" else None
    eager: Callable[..., Tensor] = getattr(net, method)
    compiled: Callable[..., Tensor] = torch.compile(eager, dynamic=False, options=options)
    setattr(net, method, lambda *inputs: compiled(*inputs) if net.training else eager(*inputs))
