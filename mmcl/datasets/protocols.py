"""Which clips train and which test: computed from the numbers in a clip's name, never from file lists."""

import json
from functools import cache
from typing import Any

import numpy as np

from mmcl.errors import UserError
from mmcl.naming import PROJECT

FILE = PROJECT / "resources" / "protocols.json"
HELD_OUT_EVERY = 5


@cache
def protocols() -> dict[str, dict[str, Any]]:
    """Name → {`by`: subject, camera or setup; `train`, `test`: numbers, or `odd` or `even`; `source`}."""
    return json.loads(FILE.read_text())


def split(
    protocol: str, subject: np.ndarray, camera: np.ndarray, setup: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Training and test clips of a protocol.

    Args:
        protocol: a name in `resources/protocols.json`.
        subject, camera, setup: (N,) numbers of the clips.

    Returns:
        Two boolean arrays (N,). A clip whose number the protocol does not know is in neither.

    Raises:
        UserError: there is no such protocol.
    """
    if protocol not in protocols():
        raise UserError(f"no protocol {protocol!r}; there are: {', '.join(protocols())}")
    rule = protocols()[protocol]
    numbers = np.asarray({"subject": subject, "camera": camera, "setup": setup}[rule["by"]])
    return _among(numbers, rule["train"]), _among(numbers, rule["test"])


def _among(numbers: np.ndarray, wanted: list[int] | str) -> np.ndarray:
    if isinstance(wanted, str):
        return numbers % 2 == {"odd": 1, "even": 0}[wanted]
    return np.isin(numbers, wanted)


def fit_split(subject: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training clips parted into those that fit and those held out to choose fusion weights.

    Held out is every fifth of the sorted training subjects, from the first.

    Args:
        subject: (N,) subject numbers.
        train: (N,) boolean, the training clips.

    Returns:
        Two boolean arrays (N,), disjoint, together `train`.

    Raises:
        UserError: fewer than two training subjects.
    """
    subject, train = np.asarray(subject), np.asarray(train, bool)
    subjects = np.unique(subject[train])
    if len(subjects) < 2:
        raise UserError(f"fitted weights need at least two training subjects, found {len(subjects)}")
    held_out = train & np.isin(subject, subjects[::HELD_OUT_EVERY])
    return train & ~held_out, held_out
