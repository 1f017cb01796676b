"""The state that a training run keeps on disk, so that it can be resumed."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from mmcl import checkpoints
from mmcl.errors import UserError, shown
from mmcl.files import locked, written

log = logging.getLogger(__name__)

KEPT = ("net", "optimizer", "scheduler", "history", "best", "processes")
"""What a state holds beside its mark."""


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

    def load(self, net: nn.Module) -> dict[str, Any] | None:
        """The state that an earlier run has kept; None if there is none, or if it is damaged.

        Args:
            net: the network of the run, whose state it should hold.
        """
        if not self.path.exists():
            return None
        try:
            state = checkpoints.read(self.path)
            if missing := [key for key in KEPT if not isinstance(state, dict) or key not in state]:
                raise UserError(f"{self.path}: {missing[0]} is missing")
            if not self.mark.changes(state.get("mark")):
                checkpoints.check_state(
                    checkpoints.tensors({"state": state["net"]}, self.path), lambda: net, self.path
                )
        except UserError as error:
            aside = self.path.with_name("last.unreadable.pt")
            self.path.replace(aside)
            log.warning(
                "%s cannot be read (%s): set aside as %s, starting afresh", self.path, error, aside.name
            )
            return None
        return state

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
    path = folder / "last.lock"
    with locked(path, f"{folder}: another process is training there; wait for it or stop it"):
        yield
        path.unlink(missing_ok=True)
