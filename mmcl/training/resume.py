"""What a training run keeps of itself while it runs, so that it can be continued."""

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmcl import checkpoints
from mmcl.errors import UserError

log = logging.getLogger(__name__)


def fingerprint(settings: dict, inputs: list[str]) -> str:
    """sha256 over the settings and the inputs' fingerprints: runs with the same one give the same model."""
    return hashlib.sha256(json.dumps([settings, inputs], sort_keys=True).encode()).hexdigest()


class LastState:
    """`last.pt`: model, optimizer, epoch and history after an epoch."""

    def __init__(self, path: Path, mark: str):
        self.path = path
        self.mark = mark

    def load(self) -> dict[str, Any] | None:
        """The state to continue from; None if there is none, or it belongs to another run or is damaged."""
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
        """Keep a state, in one step."""
        checkpoints.save(self.path, {"fingerprint": self.mark, **state})

    def remove(self) -> None:
        """The run is over."""
        self.path.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone.

    Raises:
        UserError: another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "last.lock"
    # the lock is held by the open file, so it goes with the process however that ends
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is training there; wait for it or stop it") from None
        yield
        path.unlink(missing_ok=True)
