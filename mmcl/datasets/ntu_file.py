"""The `.skeleton` text file of NTU RGB+D.

number of frames F
F times:
    number of bodies B                       0 where no body was tracked
    B times:
        10 fields: body id, clipped edges, confidence and state of the left and of the right hand,
                   restricted, lean x and y, tracking state
        number of joints, 25
        25 lines of 12 fields: x y z (m), depth x y (px), colour x y (px), orientation w x y z,
                   tracking state (0 not tracked, 1 inferred, 2 tracked)
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from mmcl.datasets.clip import hold_positions
from mmcl.datasets.decimals import to_floats
from mmcl.errors import UserError, one_line, shown

JOINTS = 25
BODY_FIELDS = 10
JOINT_FIELDS = 12
POSITION = (0, 1, 2)

JOINT_COLUMNS = {
    "depth": (3, 4),
    "colour": (5, 6),
    "orientation": (7, 8, 9, 10),
    "joint_tracking_state": (11,),
}
"""Fields of a joint's line besides its position → columns."""

BODY_COLUMNS = {
    "clipped_edges": (1,),
    "left_hand_confidence": (2,),
    "left_hand_state": (3,),
    "right_hand_confidence": (4,),
    "right_hand_state": (5,),
    "restricted": (6,),
    "lean": (7, 8),
    "tracking_state": (9,),
}
"""Fields of a body's line besides its id → columns."""

FIELDS = (*BODY_COLUMNS, *JOINT_COLUMNS)
"""All fields that `read` can return besides ids and joints."""

TRACKING_STATES = frozenset("012")
MAX_BYTES = 64 << 20
"""The largest published file has about 8 MB."""

MAX_LINES = 1_000_000
MAX_LINE = 1000
"""A small file may have millions of lines or fields, each of which takes 50 bytes more than its text."""

MAX_FIELD = 1e6
"""A field beyond this was not measured; the largest are places in a picture of 1920 pixels."""

WINDOWS_NAN = re.compile(r"[+-]?(1\.#(QNAN|SNAN|IND|INF)0*|nan\(ind\))", re.IGNORECASE)
"""Values that are not finite, as old C libraries print them."""


class Body(NamedTuple):
    """One tracked body, in the frames that have usable joints of it.

    Attributes:
        id: as in the file; too large for a float.
        frames: (F,) frame numbers from 0, ascending.
        joints: (F, 25, 3) float32 metres in camera space.
        fields: those of `FIELDS` that were asked for, float32, NaN where unknown: `depth` and `colour`
            (F, 25, 2) px in the two pictures, `orientation` (F, 25, 4) as w x y z, `joint_tracking_state`
            (F, 25), `lean` (F, 2), the others (F,).
    """

    id: str
    frames: np.ndarray
    joints: np.ndarray
    fields: dict[str, np.ndarray]


class SkeletonFile(NamedTuple):
    """A whole file: how many frames it has, and its bodies in order of appearance."""

    frames: int
    bodies: list[Body]


def read(path: Path, fields: Sequence[str] = ()) -> SkeletonFile:
    """Read a `.skeleton` file.

    Frames of a body that hold no positions (`hold_positions`) are dropped; a body without any other frame is
    dropped as a whole.

    Args:
        path: of the file.
        fields: which of `FIELDS` to read beside ids and joints; the others are skipped.

    Raises:
        UserError: the file cannot be read, is cut off or damaged, or holds no usable body; names the file,
            the line and frame, and the cause.
    """
    return _Parser(path, _read_lines(path), fields).parse()


def _read_lines(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path}: has {size >> 20} MiB, which no skeleton file of NTU RGB+D has")
        data = path.read_bytes()
        text = data.decode("ascii")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file (byte {error.start + 1} is not ASCII)") from None
    if data.count(b"\n") > MAX_LINES:
        raise UserError(f"{path}: has more than {MAX_LINES} lines, which no skeleton file of NTU RGB+D has")
    lines = text.rstrip().split("\n")
    if lines == [""]:
        raise UserError(f"{path}: is empty")
    longest = max(map(len, lines))
    if longest > MAX_LINE:
        line = next(number for number, line in enumerate(lines, 1) if len(line) == longest)
        raise UserError(f"{path}: line {line}: has {longest} characters, more than {MAX_LINE}")
    return lines


class _Parser:
    """Parses the lines of one file; every count is checked against the number of lines."""

    def __init__(self, path: Path, lines: list[str], fields: Sequence[str]):
        self.path = path
        self.lines = lines
        self.fields = fields
        self.at = 0
        self.frame = -1
        self.count = 0

    def fail(self, cause: str, line: int | None = None) -> NoReturn:
        frame = f" (frame {self.frame + 1} of {self.count})" if self.frame >= 0 else ""
        raise UserError(f"{self.path}: line {(self.at if line is None else line) + 1}{frame}: {cause}")

    def number(self, what: str) -> int:
        """The next line as a count."""
        if self.at >= len(self.lines):
            self.fail(f"the file ends where the number of {what} should be")
        text = self.lines[self.at].strip()
        if not text.isdecimal() or len(text) > 18:
            self.fail(f"expected the number of {what}, found {shown(text)}")
        self.at += 1
        return int(text)

    def parse(self) -> SkeletonFile:
        self.count = self.number("frames")
        if self.count == 0:
            raise UserError(f"{self.path}: has no frames")
        if self.count > len(self.lines) - 1:
            self.at = 0
            self.fail(f"states {self.count} frames, but only {len(self.lines) - 1} lines follow")
        ids, frames, starts = [], [], []
        for frame in range(self.count):
            self.frame = frame
            for _ in range(self.number("bodies")):
                ids.append(self.body_id())
                frames.append(frame)
                starts.append(self.at)
                self.at += JOINTS
        if self.at < len(self.lines):
            self.fail(f"{len(self.lines) - self.at} lines follow after the last frame")
        if not ids:
            raise UserError(f"{self.path}: no frame has a body")
        return SkeletonFile(self.count, self.bodies(ids, frames, starts))

    def body_id(self) -> str:
        """The id of the next body; stops at its first joint line."""
        if self.at >= len(self.lines):
            self.fail("the file ends where a body should begin")
        fields = self.lines[self.at].split()
        if len(fields) != BODY_FIELDS:
            self.fail(f"a body has {BODY_FIELDS} fields, found {len(fields)}")
        self.at += 1
        joints = self.number("joints")
        if joints != JOINTS:
            self.at -= 1
            self.fail(f"a body has {JOINTS} joints, found {joints}")
        if self.at + JOINTS > len(self.lines):
            self.fail(
                f"the file ends after {len(self.lines) - self.at} of {JOINTS} joints", len(self.lines) - 1
            )
        return fields[0]

    def joint_values(self, frames: list[int], starts: list[int], columns: list[int]) -> np.ndarray:
        """Columns of all bodies' joint lines, (bodies, 25, columns) float64."""
        lines = self.lines
        fields = " ".join([" ".join(lines[start : start + JOINTS]) for start in starts]).split()
        shape = (len(starts), JOINTS, len(columns))
        # the last column shows a missing field in one line and a surplus one in another
        if len(fields) == len(starts) * JOINTS * JOINT_FIELDS and TRACKING_STATES.issuperset(fields[11::12]):
            try:
                wanted = [field for column in columns for field in fields[column::JOINT_FIELDS]]
                return np.moveaxis(to_floats(wanted).reshape(shape[-1], *shape[:-1]), 0, -1)
            except ValueError:
                pass  # `slow_line` finds the line
        return np.array(
            [
                self.slow_line(start + joint, frame, columns, JOINT_FIELDS, "joint")
                for start, frame in zip(starts, frames, strict=True)
                for joint in range(JOINTS)
            ]
        ).reshape(shape)

    def slow_line(self, line: int, frame: int, columns: Sequence[int], count: int, what: str) -> list[float]:
        """Columns of one line that has `count`."""
        self.frame = frame
        fields = self.lines[line].split()
        if len(fields) != count:
            self.fail(f"a {what} has {count} fields, found {len(fields)}", line)
        numbers = []
        for column in columns:
            try:
                numbers.append(float("nan" if WINDOWS_NAN.fullmatch(fields[column]) else fields[column]))
            except ValueError:
                self.fail(f"expected a number, found {shown(fields[column])}", line)
        return numbers

    def bodies(self, ids: list[str], frames: list[int], starts: list[int]) -> list[Body]:
        """The values sorted by body, without frames that hold no position."""
        columns = [*POSITION, *(c for name, cs in JOINT_COLUMNS.items() if name in self.fields for c in cs)]
        values = self.joint_values(frames, starts, columns)
        joints = values[..., : len(POSITION)]
        usable = hold_positions(joints)
        if not usable.any():
            raise UserError(f"{self.path}: {'no frame with finite joints' if joints.any() else 'only zeros'}")
        rows: dict[str, list[int]] = {}
        for row in np.flatnonzero(usable).tolist():
            rows.setdefault(ids[row], []).append(row)
        when = np.array(frames)
        for body, own in rows.items():
            twice = np.flatnonzero(np.diff(when[own]) == 0)
            if len(twice):
                raise UserError(
                    f"{self.path}: frame {when[own[twice[0]]] + 1} has body {one_line(body, 40)} twice"
                )
        fields = self.named_fields(frames, starts, {c: values[..., i] for i, c in enumerate(columns)})
        return [
            Body(
                body,
                when[own],
                joints[own].astype(np.float32),
                {name: field[own].astype(np.float32) for name, field in fields.items()},
            )
            for body, own in rows.items()
        ]

    def named_fields(
        self, frames: list[int], starts: list[int], joint_columns: dict[int, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The fields asked for, (bodies, …) float64; joint_columns: column → (bodies, 25)."""
        named: dict[str, np.ndarray] = {}
        wanted = {name: columns for name, columns in BODY_COLUMNS.items() if name in self.fields}
        if wanted:
            every = range(1, BODY_FIELDS)
            # a body's line is two lines above its first joint's
            lines = [
                self.slow_line(start - 2, frame, every, BODY_FIELDS, "body")
                for start, frame in zip(starts, frames, strict=True)
            ]
            table = np.array(lines)
            for name, columns in wanted.items():
                named[name] = table[:, [column - 1 for column in columns]]
        for name, columns in JOINT_COLUMNS.items():
            if name in self.fields:
                named[name] = np.stack([joint_columns[column] for column in columns], axis=-1)
        known = {name: np.where(np.abs(field) <= MAX_FIELD, field, np.nan) for name, field in named.items()}
        return {name: field[..., 0] if field.shape[-1] == 1 else field for name, field in known.items()}
