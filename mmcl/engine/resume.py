"""The state that a training run keeps on disk, so that it can be resumed."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.files import locked
from mmcl.settings.base import Section

log = logging.getLogger(__name__)


def fingerprint(settings: Section, inputs: Sequence[str]) -> str:
    """sha256 over the settings and the fingerprints of the inputs: runs with equal ones give the same model."""
    return hashlib.sha256(json.dumps([settings.dump(), list(inputs)], sort_keys=True).encode()).hexdigest()


class LastState:
    """`last.pt`: network, optimizer, scheduler and history after an epoch.

    Args:
        path: the file.
        mark: fingerprint of the run, see `fingerprint`.
    """

    def __init__(self, path: Path, mark: str):
        self.path = path
        self.mark = mark

    def load(self) -> dict[str, Any] | None:
        """The state to resume from; None if there is none, or if it belongs to another run or is damaged."""
        if not self.path.exists():
            return None
        try:
            state = checkpoints.read(self.path)
            if state["fingerprint"] == self.mark:
                return state
        except (UserError, KeyError, TypeError) as error:
            aside = self.path.with_name("last.unreadable.pt")
            self.path.replace(aside)
            log.warning(
                "%s cannot be read (%s): set aside as %s, starting afresh", self.path, error, aside.name
            )
            return None
        log.warning("%s was begun with other settings or inputs: starting afresh", self.path)
        return None

    def save(self, **state: Any) -> None:
        """Replace the state on disk in one step."""
        checkpoints.save(self.path, {"fingerprint": self.mark, **state})

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
