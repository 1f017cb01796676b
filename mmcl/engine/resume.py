"""The state that a training run keeps on disk, so that it can be resumed."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmcl import checkpoints, paths
from mmcl.engine.optimizers import Optimizing
from mmcl.errors import UserError, shown
from mmcl.files import locked, written

log = logging.getLogger(__name__)

KEPT = ("net", "optimizer", "scheduler", "history", "best", "processes")
"""What a state holds beside its mark."""
BEST = {"epoch", "top1", "state"}
"""What `best` holds if it is there."""


@dataclass(frozen=True)
class Mark:
    """What a run follows from: a state that was kept belongs to a run with an equal one.

    It stands in the file in plain values, so that a change can be named.

    Attributes:
        settings: those that change a weight.
        inputs: what it learns from → a fingerprint of its content.
        evaluation: what `best` follows from beside; another one leaves the weights as they are.
    """

    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    def changes(self, kept: Any) -> dict[str, str]:
        """What has changed since a state was kept: key → how. Empty if its weights are this run's.

        Args:
            kept: its mark as it stands in the file.
        """
        if not isinstance(kept, dict) or not all(isinstance(kept.get(key), dict) for key in asdict(self)):
            return {"mark": "written by another version of mmcl"}
        inputs = {
            name: f"{name} changed"
            for name in sorted(self.inputs.keys() | kept["inputs"].keys(), key=str)
            if self.inputs.get(name) != kept["inputs"].get(name)
        }
        return dict(_differences(kept["settings"], self.settings)) | inputs


def _alike(kept: Any, own: Any) -> bool:
    """Whether plain values have the same keys, lengths and kinds; numbers of one kind are alike."""
    if isinstance(own, dict):
        return (
            isinstance(kept, dict)
            and kept.keys() == own.keys()
            and all(_alike(kept[key], value) for key, value in own.items())
        )
    if isinstance(own, list | tuple):
        return (
            isinstance(kept, list | tuple)
            and len(kept) == len(own)
            and all(_alike(one, other) for one, other in zip(kept, own, strict=True))
        )
    return isinstance(kept, int | float) if isinstance(own, int | float) else type(kept) is type(own)


def _moments_fit(kept: Any, parameters: Sequence[Tensor]) -> bool:
    """Whether an optimizer's state is a parameter's number → name → a number for each weight; `step` is one number."""

    def fits(name: Any, value: Any, parameter: Tensor) -> bool:
        if name == "step":
            return isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)
        return value is None or (
            isinstance(value, Tensor) and value.is_floating_point() and value.shape == parameter.shape
        )

    return isinstance(kept, dict) and all(
        type(number) is int
        and 0 <= number < len(parameters)
        and isinstance(values, dict)
        and all(fits(name, value, parameters[number]) for name, value in values.items())
        for number, values in kept.items()
    )


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(value, int | float) for value in row.values())


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, str]]:
    """Each key whose value is another, and both values; a tuple in settings is a list in JSON."""
    for key in sorted(before.keys() | now.keys(), key=str):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{path}{key}.")
        elif old != new or (key in before) != (key in now):
            values = [shown(side[key]) if key in side else "not stated" for side in (before, now)]
            yield f"{path}{key}", f"{path}{key}: {' → '.join(values)}"


def digest(names: Iterable[str]) -> str:
    """Of the names of clips, in their order."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


class LastState:
    """`last.pt`: network, optimizer, scheduler and history after an epoch.

    Args:
        path: the file.
        mark: of the run.
    """

    def __init__(self, path: Path, mark: Mark):
        self.path = path
        self.mark = mark

    def adopt(self, others: Iterable[Path], fits: Callable[[dict[str, Any]], bool]) -> None:
        """Take a copy of a state that lies elsewhere, if there is none here: the first of `others` that fits."""
        if self.path.exists():
            return
        for other in others:
            try:
                state = checkpoints.read(other)
                if fits(state):
                    with written(self.path) as temporary:
                        shutil.copyfile(other, temporary)
                    log.info("%s: begun in %s", self.path, other.parent)
                    return
                changes = "; ".join(self.mark.changes(state.get("mark")).values())
            except (UserError, KeyError, TypeError, AttributeError):
                continue  # it is set aside by a run of its own settings
            log.info("%s is left as it is: begun with other settings or inputs (%s)", other, changes)

    def load(self) -> dict[str, Any] | None:
        """The state that an earlier run has kept; None if there is none, or if it is damaged.

        Whether its weights are those of this run's network is not checked yet, see `fits`.
        """
        if not self.path.exists():
            return None
        try:
            state = checkpoints.read(self.path)
            if missing := [key for key in KEPT if not isinstance(state, dict) or key not in state]:
                raise UserError(f"{self.path}: {missing[0]} is missing")
            history, best = state["history"], state["best"]
            self._require(isinstance(history, list) and all(map(_is_row, history)), "history")
            self._require(best is None or (isinstance(best, dict) and best.keys() >= BEST), "best")
            self._require(type(state["processes"]) is int, "processes")
        except UserError as error:
            self._set_aside_unreadable(error)
            return None
        return state

    def fits(self, state: Mapping[str, Any], net: nn.Module, optimizing: Optimizing) -> bool:
        """Whether weights, optimizer and schedule of a state are of the form of this run's; else it is set aside."""
        kept = {"state": state["net"]}
        optimizer = state["optimizer"]
        parameters = [p for group in optimizing.optimizer.param_groups for p in group["params"]]
        groups = optimizing.optimizer.state_dict()["param_groups"]
        try:
            checkpoints.check_state(checkpoints.tensors(kept, self.path), lambda: net, self.path)
            self._require(
                isinstance(optimizer, dict)
                and _alike(optimizer.get("param_groups"), groups)
                and _moments_fit(optimizer.get("state"), parameters),
                "optimizer",
            )
            self._require(_alike(state["scheduler"], optimizing.scheduler.state_dict()), "scheduler")
        except UserError as error:
            self._set_aside_unreadable(error)
            return False
        return True

    def _require(self, fits: bool, key: str) -> None:
        if not fits:
            raise UserError(f"{self.path}: {key} is not of the form that this run's is")

    def _set_aside_unreadable(self, error: UserError) -> None:
        aside = self.path.with_name("last.unreadable.pt")
        self.path.replace(aside)
        log.warning("%s cannot be read (%s): set aside as %s, starting afresh", self.path, error, aside.name)

    def set_aside(self, changes: Mapping[str, str]) -> None:
        """Keep the state of another run under another name; an earlier one of this name is replaced."""
        aside = self.path.with_name("last.set-aside.pt")
        self.path.replace(aside)
        log.warning(
            "%s was begun with other settings or inputs (%s): set aside as %s, starting afresh; to go on with it, undo "
            "the change and rename it",
            self.path,
            "; ".join(changes.values()),
            aside.name,
        )

    def save(self, **state: Any) -> None:
        """Replace the state on disk in one step."""
        checkpoints.save(self.path, {"mark": asdict(self.mark), **state})

    def remove(self) -> None:
        """Delete the file of a run that is complete."""
        self.path.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone.

    Raises:
        UserError: another process trains there.
    """
    path = folder / paths.LAST_LOCK
    with locked(path, f"{folder}: another process is training there; wait for it or stop it"):
        yield
        path.unlink(missing_ok=True)
