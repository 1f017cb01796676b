"""Skeleton files in forms that the reader `own` does not read, written again as files that it does.

OpenPose's files of single frames become one JSON file a clip; delimited text without the names of a layout's joints
becomes an npz.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from mmcl.errors import UserError
from mmcl.files import write_text, written
from mmcl.guess.survey import FRAME_FILE, first_rows, is_number
from mmcl.layouts import get_layout, names

MOST_LINES = 200_000
LEADING = re.compile(r"frame.*|time.*|index|id|t|#|", re.IGNORECASE)
"""Names of first columns that are no coordinate."""


def join_frames(folder: Path, files: Sequence[str], output: Path) -> list[str]:
    """Write OpenPose's frames as one JSON file a clip: frames × people × joints × (x, y, score).

    Returns:
        The clips' paths, relative to `output`.

    Raises:
        UserError: a file is no such file.
    """
    clips: dict[str, list[tuple[int, str]]] = {}
    for path in files:
        match = FRAME_FILE.fullmatch(PurePosixPath(path).stem)
        assert match
        clip = str(PurePosixPath(path).with_name(match["clip"]))
        clips.setdefault(clip, []).append((int(match["frame"]), path))
    done = []
    for clip, frames in sorted(clips.items()):
        people = [_people(folder / path) for _, path in sorted(frames)]
        done.append(f"{clip}.json")
        (output / done[-1]).parent.mkdir(parents=True, exist_ok=True)
        write_text(output / done[-1], json.dumps(people))
    return done


def _people(path: Path) -> list[list[list[float]]]:
    try:
        people = json.loads(path.read_bytes())["people"]
        points = [one["pose_keypoints_2d"] for one in people]
        return [[list(map(float, one[i : i + 3])) for i in range(0, len(one), 3)] for one in points]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not OpenPose's people of a frame ({type(error).__name__}: {error})"
        ) from None


def needs_arrays(path: Path) -> bool:
    """Whether delimited text lacks the columns of a layout's joints."""
    head = {name.lower() for name in (first_rows(path, 1) or [[]])[0]}
    return not any(
        {f"{joint}_{axis}" for joint in get_layout(name).joints for axis in "xy"} <= head for name in names()
    )


def as_arrays(folder: Path, files: Sequence[str], output: Path) -> list[str]:
    """Write delimited text, one line a frame with the coordinates of all joints, as npz.

    Returns:
        The clips' paths, relative to `output`; a file that cannot be read this way is left out.

    Raises:
        UserError: none can be.
    """
    done, fault = [], ""
    for path in files:
        try:
            joints = _coordinates(folder / path)
        except UserError as error:
            fault = fault or str(error)
            continue
        done.append(str(PurePosixPath(path).with_suffix(".npz")))
        (output / done[-1]).parent.mkdir(parents=True, exist_ok=True)
        with written(output / done[-1]) as temporary, open(temporary, "wb") as file:
            np.savez(file, joints=joints)
    if not done:
        raise UserError(fault)
    return done


def _coordinates(path: Path) -> np.ndarray:
    """(T, V, 3 or 2) of a text file."""
    rows = first_rows(path, MOST_LINES)
    head = rows[0] if rows and not all(is_number(field) for field in rows[0]) else []
    rows = rows[1:] if head else rows
    width = len(rows[0]) if rows else 0
    if not rows or any(len(row) != width or not all(map(is_number, row)) for row in rows):
        raise UserError(f"{path}: is no table of numbers, as many in every line")
    table = np.array([[float(field or "nan") for field in row] for row in rows])
    while head and LEADING.fullmatch(head[0]):
        head, table = head[1:], table[:, 1:]
    counting = not head and len(table) > 2 and (np.diff(table[:, 0]) == 1).all()
    table = table[:, 1:] if counting else table
    known = {len(get_layout(name)) for name in names()}
    fits = [size for size in (3, 2) if table.shape[1] % size == 0]
    fits.sort(key=lambda size: table.shape[1] // size not in known)
    if not fits:
        raise UserError(f"{path}: {table.shape[1]} numbers a line are no joints of two or three coordinates")
    joints: np.ndarray = table.reshape(len(table), -1, fits[0])
    return joints
