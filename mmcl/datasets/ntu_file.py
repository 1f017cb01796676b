"""The `.skeleton` text file of NTU RGB+D.

number of frames F
F times:
    number of bodies B                       0 where nobody was tracked
    B times:
        10 fields: body id, clipped edges, confidence and state of the left and of the right hand,
                   restricted, lean x and y, tracking state
        number of joints, 25
        25 lines of 12 fields: x y z (m), depth x y (px), colour x y (px), orientation w x y z,
                   tracking state (0 not tracked, 1 inferred, 2 tracked)
"""

import re
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from mmcl.datasets.clip import hold_positions
from mmcl.errors import UserError

JOINTS = 25
BODY_FIELDS = 10
JOINT_FIELDS = 12
USED = (0, 1, 2, 5, 6)
"""x y z, colour x y. A body's other fields are not read further than to count them."""

TRACKING_STATES = frozenset("012")
MAX_BYTES = 64 << 20
"""The largest published file has about 8 MB."""

MAX_PIXEL = 1e6
"""A colour coordinate beyond this is no place in a picture."""

WINDOWS_NAN = re.compile(r"[+-]?(1\.#(QNAN|SNAN|IND|INF)0*|nan\(ind\))", re.IGNORECASE)
"""How old C libraries print what is not finite."""


class Body(NamedTuple):
    """One tracked body, in the frames that have usable joints of it.

    Attributes:
        id: as in the file; too large for a float.
        frames: (F,) frame numbers from 0, ascending.
        joints: (F, 25, 3) float32 metres in camera space.
        colour: (F, 25, 2) float32 px in the colour picture, NaN where unknown.
    """

    id: str
    frames: np.ndarray
    joints: np.ndarray
    colour: np.ndarray


class Recording(NamedTuple):
    """A whole file: how many frames it has, and its bodies in order of appearance."""

    frames: int
    bodies: list[Body]


def read(path: Path) -> Recording:
    """Read a `.skeleton` file.

    Frames of a body that hold no positions (`hold_positions`) are dropped; a body without any other frame is
    dropped as a whole.

    Raises:
        UserError: the file cannot be read, is cut off or damaged, or holds no usable body; names the file,
            the line and frame, and the cause.
    """
    return _Parser(path, _read_lines(path)).parse()


def _read_lines(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path}: has {size >> 20} MiB, which no skeleton file of NTU RGB+D has")
        text = path.read_bytes().decode("ascii")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file (byte {error.start + 1} is not ASCII)") from None
    lines = text.rstrip().split("\n")
    if lines == [""]:
        raise UserError(f"{path}: is empty")
    return lines


class _Parser:
    """Walks the lines of one file; every count is checked against the lines that are there."""

    def __init__(self, path: Path, lines: list[str]):
        self.path = path
        self.lines = lines
        self.at = 0
        self.frame = -1
        self.count = 0

    def fail(self, cause: str, line: int | None = None) -> NoReturn:
        frame = f" (frame {self.frame + 1} of {self.count})" if self.frame >= 0 else ""
        raise UserError(f"{self.path}: line {(self.at if line is None else line) + 1}{frame}: {cause}")

    def number(self, what: str) -> int:
        """The next line as a count."""
        if self.at >= len(self.lines):
            self.fail(f"the file ends where the number of {what} should stand")
        text = self.lines[self.at].strip()
        if not text.isdecimal() or len(text) > 9:
            self.fail(f"expected the number of {what}, found {text[:40]!r}")
        self.at += 1
        return int(text)

    def parse(self) -> Recording:
        self.count = self.number("frames")
        if self.count == 0:
            raise UserError(f"{self.path}: has no frames")
        if self.count > len(self.lines) - 1:
            self.at = 0
            self.fail(f"says {self.count} frames, but only {len(self.lines) - 1} lines follow")
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
        return Recording(self.count, self.bodies(ids, frames, self.values(frames, starts)))

    def body_id(self) -> str:
        """The id of the next body; stops at its first joint line."""
        if self.at >= len(self.lines):
            self.fail("the file ends where a body should stand")
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

    def values(self, frames: list[int], starts: list[int]) -> np.ndarray:
        """The used fields of all bodies, (bodies, 25, 5) float64."""
        lines = self.lines
        fields = " ".join([" ".join(lines[start : start + JOINTS]) for start in starts]).split()
        shape = (len(starts), JOINTS)
        # a missing field in one line and a surplus one in another would go unnoticed but for the last column
        if len(fields) == len(starts) * JOINTS * JOINT_FIELDS and TRACKING_STATES.issuperset(fields[11::12]):
            try:
                columns = [np.array(list(map(float, fields[column::JOINT_FIELDS]))) for column in USED]
                return np.stack(columns, axis=-1).reshape(*shape, len(USED))
            except ValueError:
                pass  # the slow way finds the line
        places = [
            (start + joint, f) for start, f in zip(starts, frames, strict=True) for joint in range(JOINTS)
        ]
        return np.array([self.slow_line(line, f) for line, f in places]).reshape(*shape, len(USED))

    def slow_line(self, line: int, frame: int) -> list[float]:
        """The used fields of one joint line."""
        self.frame = frame
        fields = self.lines[line].split()
        if len(fields) != JOINT_FIELDS:
            self.fail(f"a joint has {JOINT_FIELDS} fields, found {len(fields)}", line)
        numbers = []
        for column in USED:
            try:
                numbers.append(float("nan" if WINDOWS_NAN.fullmatch(fields[column]) else fields[column]))
            except ValueError:
                self.fail(f"expected a number, found {fields[column][:40]!r}", line)
        return numbers

    def bodies(self, ids: list[str], frames: list[int], values: np.ndarray) -> list[Body]:
        """The values sorted by body, without frames that hold no position."""
        joints, colour = values[..., :3], values[..., 3:]
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
                raise UserError(f"{self.path}: frame {when[own[twice[0]]] + 1} has body {body} twice")
        colour = np.where(np.abs(colour) <= MAX_PIXEL, colour, np.nan)
        return [
            Body(body, when[own], joints[own].astype(np.float32), colour[own].astype(np.float32))
            for body, own in rows.items()
        ]
