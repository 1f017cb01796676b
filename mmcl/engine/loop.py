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
from typing import Any

import torch
from torch import Tensor

from mmcl import paths
from mmcl.engine.footprint import estimated, remedy
from mmcl.engine.history import Row, as_line
from mmcl.engine.optimizers import Optimizing, build_optimizer
from mmcl.engine.precision import arithmetic
from mmcl.engine.processes import Processes
from mmcl.engine.resume import LastState, Mark, only_writer
from mmcl.engine.scalars import scalars
from mmcl.engine.schedule import sgd_factor
from mmcl.engine.seeds import epoch_seed
from mmcl.engine.step import Step, make_step
from mmcl.engine.task import Losses, Task, on_cpu
from mmcl.errors import UserError, memory_reported
from mmcl.planned import in_workflow
from mmcl.precision import searched_convolutions
from mmcl.progress import progress
from mmcl.settings.training import AdamWSettings, SgdSettings
from mmcl.state_dict import check_finite

__all__ = ["Fitted", "Losses", "Task", "fit", "on_cpu"]

log = logging.getLogger(__name__)

LARGEST = torch.finfo(torch.float32).max ** 0.5
"""Of a weight: the square of a larger one is not finite."""
SCHEDULE = ("epochs", "warmup_epochs", "schedule", "steps", "decay", "min_rate")
"""Settings that change nothing but the learning rates of epochs."""


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
    first process writes the results; in a job of the workflow it stays until the result is recorded, see
    `mmcl.leftovers`.

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
        last = LastState(target.with_name(paths.LAST), mark)
        if processes.first:
            last.adopt(elsewhere, lambda state: _goes_on(mark, state, task, settings))
        optimizing = build_optimizer(task.net, settings, task.steps)
        fitted = _resumed(task, settings, optimizing, last, processes)
        with (
            memory_reported(remedy(task, settings)),
            arithmetic(task.precision),
            searched_convolutions() if task.same_pictures else nullcontext(),
            scalars(target.parent, fitted.history, processes) as add,
        ):
            _train(task, settings, optimizing, fitted, last, target, processes, add)
        yield fitted
        if processes.first and not in_workflow():
            last.remove()


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
        optimizing.load(state["optimizer"], state["scheduler"])
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
    add: Callable[[Row], None],
) -> None:
    history, done = fitted.history, len(fitted.history)
    task.begin(done)
    step: Step[Any] | None = None
    steps = task.steps
    batches_done, in_all = done * steps, settings.epochs * steps
    with progress(
        task.label, in_all, "batches", done=batches_done, lap=steps, shown=processes.first
    ) as shown:
        for epoch in range(done, settings.epochs):
            began = time.perf_counter()
            if task.begin_epoch(epoch) or step is None:
                step = make_step(task, optimizing, processes)
            rate = optimizing.optimizer.param_groups[0]["lr"]
            torch.manual_seed(epoch_seed(task.seed, epoch, processes.rank))  # for dropout
            batches = task.batches(epoch)
            if epoch == done:
                batches = estimated(batches, task, settings, optimizing, processes)
            means = _epoch(step, batches, epoch, shown.advance)
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
            add(row)
            shown.note(**{key: f"{row[key]:.3f}" for key in ("loss", "accuracy") if key in row})
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
    step: Step[Any], batches: Iterable[Any], epoch: int, advance: Callable[[], Any]
) -> dict[str, float]:
    """A pass over the training clips. Returns the weighted means over steps and processes of the loss and its terms.

    Raises:
        UserError: there is no batch.
    """
    step.begin()
    for batch in batches:
        step(batch)
        advance()
    if not step.weight:
        raise UserError(f"epoch {epoch + 1} has no batch to train with")
    return step.means()
