"""The order of rows in CTR-GCN's npz files, which hold no names.

The public scripts write, for each id of a protocol's training (then test) side in ascending order (subjects for
X-Sub, cameras for X-View, setups for X-Set), all clips of that id in name order. So names follow from a list of all
names, and a list of another file is recognised by its counts and labels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.protocols import as_clips, find_rule, protocols, split
from mmcl.errors import UserError, one_line
from mmcl.exchange.arrays import Rows, open_npz
from mmcl.exchange.names import MAX_CLASSES, label_order, list_named_clips

SIDES = ("train", "test")
EXAMPLES = 5
MAX_CLIPS = 1_000_000
BLOCK = 4 * 2**20
"""Bytes of the rows that are read at a time, however long they are."""


def row_order(entries: Sequence[ClipEntry], protocol: str) -> dict[str, list[ClipEntry]]:
    """Clips of each side of a protocol in the order of rows.

    Args:
        entries: clips in name order.
        protocol: a published protocol; one without ids (`given`, random halves) leaves name order.

    Raises:
        UserError: there is no such protocol.
    """
    rule, _ = find_rule(protocol)
    key = rule.by or "split"
    order = list(entries) if key == "split" else sorted(entries, key=lambda entry: getattr(entry, key))
    sides = split(protocol, as_clips(order))
    return {
        side: [entry for entry, chosen in zip(order, mask, strict=True) if chosen]
        for side, mask in zip(SIDES, sides, strict=True)
    }


def both_sides(entries: Sequence[ClipEntry], protocol: str) -> dict[str, list[ClipEntry]]:
    """As `row_order`, for a protocol that has clips on both sides.

    Raises:
        UserError: there is no such protocol, or a side of it has no clip.
    """
    sides = row_order(entries, protocol)
    for side, clips in sides.items():
        if not clips:
            raise UserError(f"protocol {protocol}: no clip is in its {side} set")
    return sides


def labels_of(arrays: dict[str, Rows], path: Path) -> dict[str, np.ndarray]:
    """(N,) int64 labels of each side, of the one-hot rows of `y_train` and `y_test`.

    Raises:
        UserError: an array is missing, of another length than its `x`, or a row is not one-hot.
    """
    labels = {}
    for side in SIDES:
        x, y = (arrays.get(f"{letter}_{side}") for letter in "xy")
        if x is None or y is None:
            raise UserError(f"{path}: has no x_{side} and y_{side}; not an npz of CTR-GCN's scripts")
        if len(y.shape) != 2 or len(y) != len(x) or y.dtype.kind not in "fiub":
            raise UserError(
                f"{path}: y_{side} is {y.dtype} {y.shape}, expected one-hot rows of {len(x)} clips"
            )
        if len(y) > MAX_CLIPS or y.shape[1] > MAX_CLASSES:
            raise UserError(
                f"{path}: y_{side} is {y.shape}, more than {MAX_CLIPS} clips of {MAX_CLASSES} classes"
            )
        found = [np.empty(0, np.int64)]
        block = max(1, BLOCK // (y.shape[1] * y.dtype.itemsize))
        for start in range(0, len(y), block):
            rows = y.rows(start, min(start + block, len(y)))
            bad = ((rows != 0).sum(1) != 1) | ~(rows == 1).any(1)
            if bad.any():
                raise UserError(f"{path}: y_{side}: row {start + int(np.argmax(bad))} is not one-hot")
            found.append(rows.argmax(1))
        labels[side] = np.concatenate(found)
    if len({arrays[f"y_{side}"].shape[1] for side in SIDES}) > 1:
        raise UserError(f"{path}: y_train and y_test have different numbers of classes")
    return labels


def mismatches(
    labels: dict[str, np.ndarray], entries: Sequence[ClipEntry], protocol: str, classes: Sequence[str]
) -> list[str]:
    """Why rows cannot be those of a protocol's clips; empty where they can.

    Args:
        labels: of `labels_of`.
        entries: clips in name order.
        protocol: which.
        classes: class ids by label.
    """
    problems = []
    for side, clips in row_order(entries, protocol).items():
        rows = labels[side]
        if len(rows) != len(clips):
            problems.append(
                f"x_{side} has {len(rows)} rows, the names give {len(clips)} clips for {protocol}"
            )
            continue
        own = np.array([classes.index(clip.action) if clip.action in classes else -1 for clip in clips], int)
        wrong = np.flatnonzero(own != rows)
        if len(wrong):
            some = ", ".join(
                f"row {i} ({one_line(clips[i].name)}) has label {rows[i]}" for i in wrong[:EXAMPLES]
            )
            problems.append(
                f"{len(wrong)} of {len(rows)} labels of y_{side} are not those of the names: {some}"
            )
    return problems


def find_protocol(labels: dict[str, np.ndarray], entries: Sequence[ClipEntry], classes: Sequence[str]) -> str:
    """The published protocol whose counts and labels the rows have.

    Raises:
        UserError: none has, or more than one.
    """
    start = {60: "ntu60_", 120: "ntu120_"}.get(len(classes), "") if classes[0] == "A001" else ""
    candidates = [
        name
        for name, rule in protocols().items()
        if rule.by not in (None, "split") and name.startswith(start or ("ntu60_", "ntu120_")) == bool(start)
    ]
    fitting, counts = [], []
    for name in candidates:
        sides = row_order(entries, name)
        counts.append(f"{name} {len(sides['train'])}/{len(sides['test'])}")
        if not mismatches(labels, entries, name, classes):
            fitting.append(name)
    # protocols of different data sets may split the same clips alike
    splits = {tuple(tuple(c.name for c in side) for side in row_order(entries, n).values()) for n in fitting}
    if len(splits) == 1:
        return fitting[0]
    have = "/".join(str(len(labels[side])) for side in SIDES)
    if fitting:
        raise UserError(f"{have} rows fit {' and '.join(fitting)}: set options.protocol")
    raise UserError(
        f"{have} rows do not have counts and labels of any protocol; the names give {', '.join(counts)}."
        " Set options.protocol to see why not"
    )


def expected_classes(entries: Sequence[ClipEntry], count: int) -> tuple[list[ClipEntry], list[str]]:
    """The clips that a file of `count` classes can hold, and class ids by label.

    A list of all names of NTU RGB+D 120 also fits a file of 60 classes: its clips are those of actions 1 to 60.
    """
    classes = label_order(entries, count)
    return [entry for entry in entries if entry.action in classes], classes


def check_order(npz_path: str | Path, names_path: str | Path, protocol: str) -> list[str]:
    """Whether a list of names is that of an npz: counts, and the label of every row.

    Args:
        npz_path: npz of CTR-GCN's scripts.
        names_path: see `list_named_clips`.
        protocol: such as `ntu60_xsub`.

    Returns:
        What does not fit; empty if all does.

    Raises:
        UserError: a file cannot be read, or there is no such protocol.
    """
    path = Path(npz_path)
    arrays = open_npz(path)
    labels = labels_of(arrays, path)
    count = arrays["y_train"].shape[1]
    entries, classes = expected_classes(list_named_clips(names_path), count)
    problems = mismatches(labels, entries, protocol, classes)
    if len(classes) != count:
        problems.insert(0, f"{path}: has {count} classes, the names have {len(classes)}")
    return problems
