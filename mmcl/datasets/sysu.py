"""SYSU 3D Human-Object Interaction (Hu et al., CVPR 2015): 12 activities, 40 subjects, 480 clips, one Kinect.

The data set's files were not available. Their form is taken from public programs that load them, and this reader is
tested on files made in that form.
"""

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, NoReturn

import numpy as np
from pydantic import Field, field_validator

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import numbered_names, walk
from mmcl.datasets.mat_file import read_joints
from mmcl.datasets.one_person import one_person
from mmcl.errors import UserError, one_line, shown
from mmcl.settings import base

JOINTS = 20
RELEASED = r"(?:^|/)(?P<subject>[^/]+)/video(?P<action>\d{1,2})"
NAMED = r"(?:^|/)a(?P<action>\d{1,2})_s(?P<subject>\d{1,3})"
SKELETONS = (rf"{RELEASED}/sklWorld$", rf"{NAMED}$")
VIDEOS = (rf"{RELEASED}(?:/rgb)?$", rf"{NAMED}(?:_rgb|_color)?$")
MAX_PIXEL = 1e6
"""A number beyond this is no position in a picture."""
MAX_BYTES = 8 << 20
"""Of a text file; a clip has some 300 kB."""


class SysuOptions(base.Options):
    """Options of the reader `sysu`."""

    pattern: str = Field(
        "",
        description="Regular expression with the groups (?P<action>…) and (?P<subject>…), searched in a skeleton's "
        "path below the folder without its suffix; empty for the names in docs/datasets.md.",
    )
    video_pattern: str = Field("", description="The same for videos.")
    unit: base.Positive = Field(
        1.0, description="Metres per unit of the skeleton files; 0.001 for millimetres."
    )
    picture_size: base.Pair[Annotated[int, Field(ge=1)]] = Field(
        (640, 480), description="Width and height of the pictures that sklImage.mat refers to."
    )

    @field_validator("pattern", "video_pattern")
    @classmethod
    def _has_both_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression ({error})") from None
        if pattern and (lacks := {"action", "subject"} - set(groups)):
            raise ValueError(f"{pattern!r} has no group (?P<{min(lacks)}>…)")
        return pattern


class SysuReader:
    """`<subject>/video<activity>/sklWorld.mat` as released, or text files `a01_s01.txt`, in any sub-folder.

    `sklWorld.mat` holds `SW`, 20 × 3 × T. A text file holds, per frame, 20 lines of x y z or one line of 60 numbers;
    blanks or commas between them; the number of frames may be the only number of the first line. The option `pattern`
    finds activity and subject in other names. A clip's name is `a<activity>_s<subject>`, with two digits each;
    subjects that are no numbers are numbered in the order of their names.
    """

    layout: ClassVar[str] = "sysu20"
    persons: ClassVar[int] = 1
    what_belongs: ClassVar[str] = (
        "SYSU 3DHOI skeletons (3DvideoNorm/<subject>/video<activity>/sklWorld.mat, or text files a01_s01.txt) and"
        " videos (…/video<activity>/rgb.avi, or a01_s01.avi); from Sun Yat-sen University; see docs/datasets.md"
    )
    two_person_actions: ClassVar[frozenset[str]] = frozenset()
    Options: ClassVar[type[base.Options]] = SysuOptions
    skeleton_suffixes: ClassVar[tuple[str, ...]] = (".mat", ".txt")
    video_suffixes: ClassVar[tuple[str, ...]] = (".avi", ".mp4")

    def __init__(self, skeletons: Path, videos: Path | None, options: SysuOptions):
        self.skeletons = skeletons
        self.videos = videos
        self.options = options
        own = [(pattern,) if pattern else () for pattern in (options.pattern, options.video_pattern)]
        self.patterns = [re.compile(pattern) for pattern in own[0] or SKELETONS]
        self.video_patterns = [re.compile(pattern) for pattern in own[1] or VIDEOS]

    def class_names(self) -> dict[str, str]:
        """`a1` … `a12` → name."""
        return numbered_names("sysu/actions.txt", "a", 0)

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. There is one camera and one setup."""
        skeletons = _find(self.skeletons, self.skeleton_suffixes, self.patterns)
        if not skeletons:
            names = ", ".join(pattern.pattern for pattern in self.patterns)
            raise UserError(f"{self.skeletons}: no .mat or .txt file matches {names}. {self.what_belongs}")
        videos = _find(self.videos, self.video_suffixes, self.video_patterns) if self.videos else {}
        number = _number_subjects({subject for _, subject in skeletons})
        entries = [
            ClipEntry(
                f"a{action:02d}_s{subject.zfill(2)}",
                f"a{action}",
                number[subject],
                1,
                1,
                None,
                path,
                videos.get((action, subject), ""),
                "",
            )
            for (action, subject), path in skeletons.items()
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, 1, 20, 3), without the frames that hold no position; times the option `unit`."""
        path = self.skeletons / entry.skeleton
        joints = read_joints(path, "SW", JOINTS, (3,)) if path.suffix.lower() == ".mat" else read_text(path)
        return one_person(path, joints * self.options.unit, self.layout)

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, 1, 20, 2): `S` of `sklImage.mat` beside the skeleton, on a picture of `picture_size`."""
        path = self.skeletons / entry.skeleton
        if path.suffix.lower() != ".mat":
            raise UserError(f"{path}: only sklImage.mat holds where joints lie in the picture")
        pixels = read_joints(path.with_name(f"sklImage{path.suffix}"), "S", JOINTS, (2, 3))[..., :2]
        pixels = np.where(np.abs(pixels) <= MAX_PIXEL, pixels, np.nan)
        scale = np.array([width, height]) / np.array(self.options.picture_size)
        scaled: np.ndarray = (pixels * scale)[:, None]
        return scaled.astype(np.float32)


def _find(
    folder: Path, endings: tuple[str, ...], patterns: list[re.Pattern[str]]
) -> dict[tuple[int, str], str]:
    """(Activity, subject) → path relative to `folder` of the files that match. 01 and 1 are one subject."""
    found: dict[tuple[int, str], str] = {}
    for path in walk(folder):
        stem, ending = os.path.splitext(path)
        if ending.lower() not in endings:
            continue
        match = next((match for pattern in patterns if (match := pattern.search(stem))), None)
        if not match:
            continue
        action, subject = match["action"] or "", match["subject"] or ""
        if not action.isdecimal():
            raise UserError(f"{folder}: {one_line(path)}: activity {shown(action)} is not a number")
        key = int(action), str(int(subject)) if subject.isdecimal() else subject
        if key in found:
            raise UserError(
                f"{folder}: {one_line(found[key])} and {one_line(path)} are both activity {key[0]} of subject"
                f" {one_line(key[1])}"
            )
        found[key] = path
    return found


def _number_subjects(subjects: set[str]) -> dict[str, int]:
    if all(subject.isdecimal() for subject in subjects):
        return {subject: int(subject) for subject in subjects}
    return {subject: number for number, subject in enumerate(sorted(subjects), 1)}


def read_text(path: Path) -> np.ndarray:
    """(T, 20, 3) float64 from a text file, see `SysuReader`.

    Raises:
        UserError: anything else; names file and line.
    """

    def fail(cause: str, line: int | None = None) -> NoReturn:
        raise UserError(f"{path}: {'' if line is None else f'line {line}: '}{cause}")

    try:
        size = os.path.getsize(path)
        if size > MAX_BYTES:
            fail(f"has {size} bytes; a clip has at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot be read as text ({error})")
    rows = [(i, line.replace(",", " ").split()) for i, line in enumerate(text.splitlines(), 1)]
    rows = [(i, fields) for i, fields in rows if fields]
    stated = None
    if rows and len(rows[0][1]) == 1:
        line, (count,) = rows.pop(0)
        stated = int(count) if count.isdecimal() and len(count) < 10 else fail("is not a frame count", line)
    if not rows:
        fail("has no frames")
    width = len(rows[0][1])
    if width not in (3, 3 * JOINTS):
        fail(f"has {width} numbers; expected 3 for a joint or {3 * JOINTS} for a frame", rows[0][0])
    values = []
    for line, fields in rows:
        if len(fields) != width:
            fail(f"has {len(fields)} numbers, the lines before it {width}", line)
        try:
            values.append([float(field) for field in fields])
        except ValueError as error:
            fail(one_line(str(error), 120), line)
    if len(values) * width % (3 * JOINTS):
        fail(f"{len(values)} joints are no multiple of {JOINTS}: the last frame is incomplete", rows[-1][0])
    joints = np.array(values).reshape(-1, JOINTS, 3)
    if stated not in (None, len(joints)):
        fail(f"states {stated} frames and has {len(joints)}")
    return joints
