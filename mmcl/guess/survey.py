"""The files of a folder by what they may be: skeletons, videos, tables."""

import csv
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from mmcl.datasets.files import walk
from mmcl.datasets.own import VIDEOS
from mmcl.datasets.own_files import READERS
from mmcl.datasets.text import text_lines
from mmcl.errors import UserError

PACKED = (".pkl", ".pickle", ".h5", ".hdf5")
"""Whole data sets in one file."""
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
FORMS = (".npz", ".npy", ".mat", ".skeleton", ".csv", ".json")
"""Of a clip that is there in several forms the first of these is taken: a json file may tell something else of it."""
TABLES = (".csv", ".tsv", ".txt")
MOST_BYTES = 64 << 20
SHARE = 0.1
COLUMNS = 12
"""Fewer columns are no skeleton: six joints in a picture."""
FRAME_FILE = re.compile(r"(?P<clip>.+)_(?P<frame>\d{6,12})_keypoints")
"""OpenPose's: one JSON file a frame."""


@dataclass(frozen=True)
class Survey:
    """Paths relative to the folder, each kind in the order of names.

    Attributes:
        folder: that was looked into.
        skeletons: the files of the ending that most clips have, and of others that a tenth as many have; of a clip
            that is there in several forms only the first of FORMS.
        videos, tables: files that may be some.
        packed: files that may hold a whole data set.
        others: ending → number of all other files.
        unreadable: messages about text files that may be tables.
    """

    folder: Path
    skeletons: list[str]
    videos: list[str]
    tables: list[str]
    packed: list[str]
    others: dict[str, int]
    unreadable: tuple[str, ...] = ()

    def unused(self, used: Collection[str]) -> Counter[str]:
        """Ending → number of the files that are not among those used."""
        own = (*self.skeletons, *self.videos, *self.tables, *self.packed)
        left = Counter(PurePosixPath(path).suffix.lower() for path in {*own} - {*used})
        return left + Counter(self.others)

    @property
    def endings(self) -> list[str]:
        """Of the skeleton files, in lower case."""
        return sorted({PurePosixPath(path).suffix.lower() for path in self.skeletons})

    @property
    def frame_files(self) -> bool:
        """Whether the skeletons are OpenPose's files of single frames."""
        return bool(self.skeletons) and all(
            FRAME_FILE.fullmatch(PurePosixPath(path).stem) for path in self.skeletons
        )


def survey(folder: Path) -> Survey:
    """Look through a folder and its sub-folders; of the files, only the first lines of tables are read.

    Raises:
        UserError: nothing in it is of use; says what was found.
    """
    by_ending: dict[str, list[str]] = {}
    for path in walk(folder):
        if not any(part.startswith(".") for part in PurePosixPath(path).parts):
            by_ending.setdefault(PurePosixPath(path).suffix.lower(), []).append(path)
    texts = [path for ending in TABLES for path in by_ending.get(ending, [])]
    faults = {path: fault for path in texts if (fault := _fault(folder / path))}
    tables = [path for path in texts if path not in faults and is_table(folder / path)]
    for ending in TABLES:
        by_ending[ending] = [path for path in by_ending.get(ending, []) if path not in {*tables, *faults}]
    forms = sorted(READERS, key=lambda ending: FORMS.index(ending) if ending in FORMS else len(FORMS))
    kinds = {ending: by_ending.get(ending, []) for ending in (*forms, ".txt", ".tsv")}
    most = max(kinds, key=lambda ending: len(kinds[ending]))
    many = [paths for paths in kinds.values() if len(paths) >= max(1, SHARE * len(kinds[most]))]
    clips: dict[str, str] = {}
    for path in (path for paths in ([kinds[most]] if most in (".txt", ".tsv") else many) for path in paths):
        clips.setdefault(str(PurePosixPath(path).with_suffix("")), path)
    skeletons = sorted(clips.values())
    tables += [
        path for path in by_ending.get(".json", []) if str(PurePosixPath(path).with_suffix("")) not in clips
    ]
    videos = sorted(path for ending in VIDEOS for path in by_ending.get(ending, []))
    packed = sorted(path for ending in PACKED for path in by_ending.get(ending, []))
    used = {*skeletons, *videos, *tables, *packed}
    left = Counter(ending for ending, paths in by_ending.items() for path in paths if path not in used)
    if not skeletons and not videos and not packed:
        archives = [ending for ending in left if ending in ARCHIVES]
        remedy = f"unpack the {archives[0]} files first" if archives else "name the folder of the recordings"
        found = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in left.most_common(5))
        raise UserError(f"{folder}: holds no skeleton file and no video ({found or 'no file'}); {remedy}")
    return Survey(folder, skeletons, videos, sorted(tables), packed, dict(left), tuple(faults.values()))


def _fault(path: Path) -> str:
    """Why a text file cannot be read; "" if it can."""
    try:
        next(text_lines(path, MOST_BYTES), "")
        return ""
    except UserError as error:
        return str(error)


def is_table(path: Path) -> bool:
    """Whether a text file is a table of clips rather than a clip's joints: few columns, or some without numbers."""
    rows = first_rows(path)
    if not rows:
        return False
    head = rows[0]
    joints = sum(bool(re.search(r"[_ .-]?[xyz]$", name.lower())) for name in head)
    if joints >= COLUMNS // 2:
        return False
    body = rows[1:] or rows
    return any(not is_number(field) for row in body for field in row if field) or len(head) < COLUMNS // 2


def first_rows(path: Path, count: int = 20) -> list[list[str]]:
    """The first lines of a delimited text file, cut into fields; none where it is no such file."""
    try:
        lines = [line for line in islice(text_lines(path, MOST_BYTES), count + 1) if line.strip()]
    except UserError:
        return []
    if lines and re.fullmatch(r'"?sep=.[",;\s]*', lines[0]):
        lines = lines[1:]
    lines = [line for line in "".join(lines).splitlines() if line.strip()][:count]
    if not lines:
        return []
    marks = [(len(lines[-1].split(mark)), mark) for mark in ",;\t "]
    return [[field.strip() for field in row] for row in csv.reader(lines, delimiter=max(marks)[1])]


def is_number(text: str) -> bool:
    """Whether a field is a number, or none at all."""
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True
