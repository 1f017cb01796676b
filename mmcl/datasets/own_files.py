"""Skeleton files of your own: npz, npy, csv, json, mat or skeleton, recognised by their endings.

All give joints (T, M, V, C) float64 in the files' own units, C 2 or 3, NaN where a file has no value.
"""

import json
import re
import zipfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mmcl.datasets import ntu_file
from mmcl.datasets.mat_file import read_joints as read_mat
from mmcl.datasets.npy_header import npy_header
from mmcl.datasets.own_table import Row, read_rows
from mmcl.errors import UserError, one_line, shown

T = TypeVar("T")

WHOLE = re.compile(r"([+-]?[0-9]{1,15})(?:[.,]0*)?")

MAX_FRAMES = 100_000
MAX_ROWS = 200_000
"""Frames times people: 100 MB of joints, with 25 joints."""
MAX_CSV = 32 * 2**20
MAX_JSON = 32 * 2**20
"""Bytes; parsed, text takes some ten times as much memory. Half an hour of 25 joints is 30 MB of CSV."""


MOST_ARRAYS = 20
"""Of an npz, that are looked at."""

MAX_PEOPLE = 50
"""In one frame."""


def read_joints(path: Path, joints: Sequence[str]) -> np.ndarray:
    """Read a skeleton file.

    Args:
        path: ends in one of READERS.
        joints: names of the layout's joints, in order.

    Returns:
        (T, M, V, C) float64, M the people of a frame (see `are_labelled`) or the labels of all.

    Raises:
        UserError: the file cannot be read or has other joints; names the place in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    clip = READERS[path.suffix.lower()](path, joints)
    _check_shape(path, clip.shape, len(joints))
    people = (np.nan_to_num(clip) != 0).any((2, 3)).sum(1)
    if people.max() > MAX_PEOPLE:
        frame = int(people.argmax())
        raise UserError(f"{path}: frame {frame} has {people[frame]} people, more than {MAX_PEOPLE}")
    return clip


def are_labelled(path: Path) -> bool:
    """Whether a person keeps his number in all frames of a file: not in JSON, whose frames list whoever was found."""
    return path.suffix.lower() != ".json"


def _check_shape(path: Path, shape: tuple[int, ...], joints: int) -> None:
    """(T, M, V, C), as the caller has made it."""
    frames, people, points, coordinates = shape
    if not frames or not people:
        raise UserError(f"{path}: has no frame")
    if points != joints or coordinates not in (2, 3):
        raise UserError(
            f"{path}: has {points} joints of {coordinates} coordinates, expected the layout's {joints}, of 2 or 3"
        )
    if frames > MAX_FRAMES or frames * people > MAX_ROWS:
        raise UserError(
            f"{path}: has {frames} frames of {people} people, more than the {MAX_FRAMES} that are read"
        )


# ------------------------------------------------------------------------------------------------- npz


def _read_npz(path: Path, joints: Sequence[str]) -> np.ndarray:
    """`joints` (T, V, C) or (T, M, V, C) of an archive of NumPy."""
    shape, dtype, name = _read_archive(path, lambda: _npz_header(path))
    full = _full_shape(path, name, shape, dtype, len(joints))

    def load() -> np.ndarray:
        with np.load(path, allow_pickle=False) as archive:
            joints: np.ndarray = archive[name]
        return joints

    return _read_archive(path, load).reshape(full).astype(np.float64)


def npz_shape(path: Path) -> tuple[int, ...]:
    """The shape of an archive's joints, from their header. Raises: UserError: it has none."""
    shape, _, _ = _read_archive(path, lambda: _npz_header(path))
    return shape


def npy_shape(path: Path) -> tuple[int, ...]:
    """The shape of an array, from its header. Raises: UserError: it is none."""

    def header() -> tuple[int, ...]:
        with open(path, "rb") as file:
            return npy_header(file, str(path))[0]

    return _read_archive(path, header)


def _full_shape(
    path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, joints: int
) -> tuple[int, ...]:
    """(T, M, V, C) of an array of NumPy; the sizes in its header are checked before anything is allocated."""
    if dtype.kind not in "fiu":
        raise UserError(f"{path}: {name} holds {dtype}, expected numbers")
    if len(shape) not in (3, 4):
        raise UserError(
            f"{path}: {name} has {len(shape)} axes, expected frames × [people ×] joints × coordinates"
        )
    full = (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape
    _check_shape(path, full, joints)
    return full


def _read_npy(path: Path, joints: Sequence[str]) -> np.ndarray:
    """(T, V, C) or (T, M, V, C) of one array of NumPy."""

    def header() -> tuple[tuple[int, ...], np.dtype]:
        with open(path, "rb") as file:
            shape, _, dtype = npy_header(file, str(path))
        return shape, dtype

    shape, dtype = _read_archive(path, header)
    full = _full_shape(path, "the array", shape, dtype, len(joints))
    loaded: np.ndarray = _read_archive(path, lambda: np.load(path, allow_pickle=False))
    return loaded.reshape(full).astype(np.float64)


def _npz_header(path: Path) -> tuple[tuple[int, ...], np.dtype, str]:
    """Shape and dtype of the array `joints`, or of the only one with three or four axes, and its name."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for name in ["joints.npy"] if "joints.npy" in names else names[:MOST_ARRAYS]:
            with archive.open(name) as file:
                shape, _, dtype = npy_header(file, f"{path}/{name}")
            if name == "joints.npy" or len(shape) in (3, 4):
                found[name.removesuffix(".npy")] = shape, dtype
    if len(found) != 1:
        raise UserError(
            f"{path}: has no array joints, only {one_line(', '.join(names[:8]), 200) or 'nothing'}"
        )
    ((name, (shape, dtype)),) = found.items()
    return shape, dtype, name


def _read_archive(path: Path, read: Callable[[], T]) -> T:
    """What `read` returns; its errors as a UserError."""
    try:
        return read()
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy pass on any error that the damage causes
        raise UserError(
            f"{path}: cannot be read as {path.suffix[1:].lower()} ({one_line(str(error) or repr(error), 200)})"
        ) from None


# ------------------------------------------------------------------------------------------------- csv


def _read_csv(path: Path, joints: Sequence[str]) -> np.ndarray:
    """One line per frame and person: `frame`, `<joint>_x`, `<joint>_y` and, optionally, `person`, `<joint>_z`.

    Frames and people come in the order of their numbers; a person without a line in a frame is absent there.
    """
    known = ["frame", "person", *(f"{joint}_{axis}" for joint in joints for axis in "xyz")]
    names, rows, delimiter = read_rows(path, known, "frame", MAX_CSV)
    axes = "xyz" if any(name.endswith("_z") for name in names) else "xy"
    columns = [f"{joint}_{axis}" for joint in joints for axis in axes]
    missing = [column for column in columns if column not in names]
    if missing:
        raise UserError(
            f"{path}: line 1: no column {missing[0]!r} ({len(missing)} of {len(columns)} are missing)"
        )
    keys: dict[tuple[int, int], int] = {}
    values = array("d")
    for row in rows:
        key = _whole(path, row, "frame"), _whole(path, row, "person") if "person" in names else 0
        if key in keys:
            raise UserError(
                f"{path}: line {row.line}: frame {key[0]}, person {key[1]} is in line {keys[key]} already"
            )
        keys[key] = row.line
        values.extend(_real(path, row, column, delimiter) for column in columns)
        if len(keys) > MAX_ROWS:
            raise UserError(f"{path}: has more than {MAX_ROWS} lines")
    frames, people = ({key: i for i, key in enumerate(sorted({k[axis] for k in keys}))} for axis in (0, 1))
    # few lines may name many frames and people
    _check_shape(path, (len(frames), len(people), len(joints), len(axes)), len(joints))
    clip = np.full((len(frames), len(people), len(columns)), np.nan)
    for (frame, person), numbers in zip(keys, np.frombuffer(values).reshape(len(keys), -1), strict=True):
        clip[frames[frame], people[person]] = numbers
    return clip.reshape(len(frames), len(people), len(joints), len(axes))


def _whole(path: Path, row: Row, column: str) -> int:
    # data frames may write 1.0
    match = WHOLE.fullmatch(row.values[column])
    if not match:
        raise UserError(
            f"{path}: line {row.line}, column {column}: {shown(row.values[column])} is no whole number"
        )
    return int(match[1])


def _real(path: Path, row: Row, column: str, delimiter: str) -> float:
    text = row.values[column]
    if delimiter != ",":
        text = text.replace(",", ".")  # as spreadsheets write where the comma is the decimal point
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise UserError(f"{path}: line {row.line}, column {column}: {shown(text)} is no number") from None


# ------------------------------------------------------------------------------------------------ json


def _read_json(path: Path, joints: Sequence[str]) -> np.ndarray:
    """A list of frames of [people of] joints of coordinates, or an object with such a list as `joints`.

    Frames may hold different numbers of people; `null` is an unknown coordinate. Further forms: that of
    Kinetics-Skeleton (ST-GCN), whose `data` lists frames with people as `pose` (x, y of every joint) and `score`; and
    AlphaPose's, a list of people with `image_id` and `keypoints` (x, y and score of every joint).
    """
    if path.stat().st_size > MAX_JSON:
        raise UserError(f"{path}: has {path.stat().st_size} bytes, more than the {MAX_JSON} that are read")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({one_line(str(error), 200)})") from None
    if isinstance(data, dict):
        data = _kinetics(data["data"]) if isinstance(data.get("data"), list) else data.get("joints")
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        data = _alphapose(data)
    if not isinstance(data, list):
        raise UserError(f"{path}: holds no list of frames, neither by itself nor as `joints`")
    if len(data) > MAX_FRAMES:
        raise UserError(f"{path}: has {len(data)} frames, more than the {MAX_FRAMES} that are read")
    frames = [_frame(path, number, frame, len(joints)) for number, frame in enumerate(data)]
    most = max((len(frame) for frame in frames), default=0)
    coordinates = max((frame.shape[2] for frame in frames), default=0)
    _check_shape(path, (len(frames), most, len(joints), coordinates), len(joints))
    clip = np.full((len(frames), most, len(joints), coordinates), np.nan)
    for number, frame in enumerate(frames):
        if not len(frame):
            continue
        if frame.shape[2] != coordinates:
            raise UserError(
                f"{path}: frame {number}: {frame.shape[2]} coordinates per joint, elsewhere {coordinates}"
            )
        clip[number, : len(frame)] = frame
    return clip


def _kinetics(frames: list[Any]) -> list[Any]:
    """Frames of people of joints (x, y, score); what has not this form is left for `_frame` to refuse."""

    def person(one: Any) -> list[Any]:
        pose, score = one["pose"], one["score"]
        return [[*pose[2 * i : 2 * i + 2], score[i]] for i in range(len(score))]

    try:
        return [[person(one) for one in frame["skeleton"]] for frame in frames]
    except (TypeError, KeyError, IndexError):
        return [None]


def _alphapose(people: list[Any]) -> list[Any]:
    """Frames, in the order of their numbers, of people of joints (x, y, score)."""
    frames: dict[tuple[int, str], list[Any]] = {}
    try:
        for one in people:
            name, points = str(one["image_id"]), one["keypoints"]
            number = re.findall(r"\d+", name)
            key = int(number[-1][:18]) if number else 0, name
            frames.setdefault(key, []).append([points[i : i + 3] for i in range(0, len(points), 3)])
    except (TypeError, KeyError):
        return [None]
    return [frames[key] for key in sorted(frames)]


# ------------------------------------------------------------------------------------- mat and skeleton


def _read_mat(path: Path, joints: Sequence[str]) -> np.ndarray:
    """`d_skel`, joints × 2 or 3 × frames, as in UTD-MHAD, for one person."""
    return read_mat(path, "d_skel", len(joints), (2, 3))[:, None]


def _read_skeleton(path: Path, joints: Sequence[str]) -> np.ndarray:
    """NTU RGB+D's own form, whose bodies are the people."""
    if len(joints) != ntu_file.JOINTS:
        raise UserError(f"{path}: has {ntu_file.JOINTS} joints, expected the layout's {len(joints)}")
    file = ntu_file.read(path)
    clip = np.full((file.frames, len(file.bodies), ntu_file.JOINTS, 3), np.nan)
    for person, body in enumerate(file.bodies):
        clip[body.frames, person] = body.joints
    return clip


def _frame(path: Path, number: int, data: Any, joints: int) -> np.ndarray:
    """(people, V, C) of one frame."""
    try:
        frame = np.array(data, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{path}: frame {number}: not numbers, or joints of different length") from None
    if not frame.size:
        return np.empty((0, joints, 0))
    if frame.ndim == 2:
        frame = frame[None]
    if frame.ndim != 3 or frame.shape[1] != joints or frame.shape[2] not in (2, 3):
        shape = "×".join(map(str, np.shape(data)))
        raise UserError(
            f"{path}: frame {number}: is {shape}, expected [people ×] {joints} joints × 2 or 3 coordinates"
        )
    return frame


READERS: dict[str, Callable[[Path, Sequence[str]], np.ndarray]] = {
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".json": _read_json,
    ".npy": _read_npy,
    ".mat": _read_mat,
    ".skeleton": _read_skeleton,
}
"""Ending of a file → what reads it."""
