"""A data set of your own: a folder of clips and a table of their labels (docs/own-data.md)."""

import logging
import os
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from mmcl.datasets import own_files
from mmcl.datasets.clip import FARTHEST, NO_LABEL, TABLE, ClipEntry, ListedOptions
from mmcl.datasets.files import leads_out, walk
from mmcl.datasets.index import as_subjects
from mmcl.datasets.names import clip_name
from mmcl.datasets.own_table import COLUMNS, Row, number, read_table
from mmcl.errors import UserError, one_line, shown
from mmcl.layouts import get_layout
from mmcl.settings import base
from mmcl.skeleton.cleaning import centred
from mmcl.skeleton.gaps import are_scores, fill_gaps, seem_scores, unseen
from mmcl.skeleton.tracking import follow

log = logging.getLogger(__name__)

TO_Y = {
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
}
"""Axis that points up → rotation that turns it to y; none of them mirrors."""

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm")


class OwnOptions(ListedOptions):
    """Options of the reader `own`."""

    layout: Annotated[base.Place, Field(min_length=1)] | None = Field(
        None,
        description="Joint layout of the skeletons, a name (docs/layouts.md) or the path of a layout's .json.",
    )
    persons: Annotated[int, Field(ge=1, le=10)] = Field(
        2, description="People of a clip; of more those with the most motion are kept."
    )
    scale: base.Positive = Field(1.0, description="Metres per unit of 3-D skeletons.")
    picture_height: base.Positive | None = Field(
        None,
        description="What 2-D skeletons are divided by, the pictures' height in the unit of the joints.",
    )
    up: Annotated[Literal["x", "y", "z", "-x", "-y", "-z"] | None, base.OFF] = Field(
        None,
        description="The files' axis that points up, which is turned to y; left out, y in 3-D and -y in pictures.",
    )
    third: Annotated[Literal["depth", "score"] | None, base.OFF] = Field(
        None,
        description="What a joint's third number is; left out, a score with picture_height, else depth; and what may be"
        " either is refused.",
    )
    centre: bool | str = Field(
        True,
        description="The joint whose first position is subtracted from a clip; true for the layout's, false for none.",
    )
    missing_joints: Literal["refuse", "interpolate"] = Field(
        "refuse", description="What becomes of a clip with joints that are not finite, or were not seen."
    )
    zeros: Literal["unseen", "places"] = Field(
        "unseen",
        description="What a joint at exactly zero is while others of the person are elsewhere; the joint that a clip is"
        " centred on is always a place.",
    )
    two_person: base.Items[str] = Field(
        (),
        description="Labels of actions of two people together, whose crops show both (video.people by_action).",
    )

    @field_validator("two_person")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError(f"{list(labels)} names a label twice")
        return labels


class OwnReader:
    """Skeletons as npz, npy, csv, json, mat or skeleton in a declared layout, and videos, in any sub-folders.

    Without a table every skeleton file is a clip without a label, which can be recognised but not trained with.
    """

    what_belongs: ClassVar[str] = (
        f"a table {TABLE} (columns name, label, …) and a skeleton file (.npz, .npy, .csv, .json, .mat,"
        " .skeleton) or a video per clip; see docs/own-data.md"
    )
    Options: ClassVar[type[base.Options]] = OwnOptions
    skeleton_suffixes: ClassVar[tuple[str, ...]] = tuple(own_files.READERS)
    video_suffixes: ClassVar[tuple[str, ...]] = VIDEOS

    def __init__(self, skeletons: Path | None, videos: Path | None, options: OwnOptions):
        """See `Reader`; the skeletons may be absent where a pose estimator makes them from the videos.

        Raises:
            UserError: neither folder is given, or there are skeletons and no layout is named.
        """
        self.skeletons = skeletons
        self.videos = videos
        self.options = options
        self.persons = options.persons
        self.two_person_actions = frozenset(options.two_person)
        folder = skeletons or videos
        if folder is None:
            raise UserError(f"skeletons: no folder is given, nor one of videos. {self.what_belongs}")
        self.table = options.table(folder)
        if skeletons and not options.layout:
            raise UserError(
                "options.layout: is missing; a name (docs/layouts.md) or the path of a layout's .json"
            )

    @property
    def layout(self) -> str:
        """The option `layout`."""
        assert self.options.layout is not None
        return self.options.layout

    @cached_property
    def _rows(self) -> list[Row]:
        """The table's lines; without a table a line with a name alone for every skeleton file."""
        if self.table.is_file():
            return read_table(self.table)
        if self.options.clips != TABLE:
            raise UserError(f"options.clips: no file {self.table}")
        if not self._skeletons:
            raise UserError(f"{self.table}: no such table, and no skeleton file. {self.what_belongs}")
        return [Row(0, {**dict.fromkeys(COLUMNS, ""), "name": name}) for name in self._skeletons]

    @cached_property
    def _skeletons(self) -> dict[str, list[str]]:
        return self._files(self.skeletons, self.skeleton_suffixes)

    def _files(self, folder: Path | None, endings: tuple[str, ...]) -> dict[str, list[str]]:
        """Files below a folder by name (`clip_name`), the table aside."""
        found: dict[str, list[str]] = {}
        if folder:
            for path in walk(folder):
                stem, ending = os.path.splitext(os.path.basename(path))
                if ending.lower() in endings and folder / path != self.table:
                    found.setdefault(clip_name(stem), []).append(path)
        return found

    def class_names(self) -> dict[str, str]:
        """The labels of the table, each its own name."""
        return {label: label for label in sorted({row.values["label"] for row in self._rows} - {""})}

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`.

        Raises:
            UserError: something is wrong with the table or with a path in it; names file, line and column.
        """
        videos = self._files(self.videos, self.video_suffixes)
        subjects = as_subjects([row.values["subject"] for row in self._rows])
        entries = [
            self._entry(row, subject, videos) for row, subject in zip(self._rows, subjects, strict=True)
        ]
        used = {entry.skeleton for entry in entries} | {entry.video for entry in entries}
        files = [path for paths in (*self._skeletons.values(), *videos.values()) for path in paths]
        if extra := sum(path not in used for path in files):
            log.info("%s: %d more files in the folders are in no line of it", self.table, extra)
        return sorted(entries, key=lambda entry: entry.name)

    def _entry(self, row: Row, subject: int | str, videos: dict[str, list[str]]) -> ClipEntry:
        name, label, split = (row.values[column] for column in ("name", "label", "split"))
        skeleton, no_skeleton = self._find(row, "skeleton", self.skeletons, self._skeletons)
        video, no_video = self._find(row, "video", self.videos, videos)
        left_out = no_skeleton or no_video or ("" if label else NO_LABEL)
        camera, setup = number(row, "camera"), number(row, "setup")
        return ClipEntry(
            name, label, subject, camera, setup, None, skeleton, video, left_out, split, row.extra
        )

    def _find(
        self, row: Row, column: str, folder: Path | None, files: dict[str, list[str]]
    ) -> tuple[str, str]:
        """A clip's file relative to the folder, "" if there is none, and why a file that is named is not used."""
        place = f"{self.table}: line {row.line}, column {column}" if row.line else str(folder)
        named = row.values[column]
        if not folder:
            if named:
                raise UserError(f"{place}: {shown(named)}, but no folder of {column}s is given")
            return "", ""
        if not named:
            found = files.get(row.values["name"], [])
            if len(found) > 1:
                raise UserError(
                    f"{place}: {shown(row.values['name'])} may be {one_line(found[0])} or {one_line(found[1])};"
                    " name one in the table"
                )
            named = found[0] if found else ""
        if not named:
            return "", ""
        if not _inside(folder, named):
            raise UserError(f"{place}: {shown(named)} leads out of {folder}")
        if not os.path.isfile(folder / named):
            # the file system may have the letters with marks in another form than the table
            same = [
                path
                for path in files.get(clip_name(Path(named).stem), [])
                if _composed(path) == _composed(named)
            ]
            if not same:
                return "", f"no such file in the column {column}"
            named = same[0]
        if column == "skeleton" and Path(named).suffix.lower() not in own_files.READERS:
            raise UserError(f"{place}: {shown(named)} ends in none of {' '.join(own_files.READERS)}")
        return named, ""

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3): scaled and centred, the person with the most motion first; an absent person is all zero.

        2-D joints in pixels are divided by the option `picture_height`, y is turned up, z is 0.
        """
        path = self._path(entry)
        parts = get_layout(self.layout)
        joints, known = self._people(path)
        present = np.asarray(known.any(2))
        if not present.any():
            raise UserError(f"{path}: no frame with joints")
        joints = self._scaled(path, joints)
        self._fill(path, joints, present, known, parts.joints)
        if (far := np.abs(joints[present]).max()) > FARTHEST:
            raise UserError(f"{path}: a joint at {far:.4g} m; is the option scale (metres per unit) right?")
        joints[~present] = 0
        seen = present.any(1)
        people: np.ndarray = joints[seen].astype(np.float32)
        present = present[seen]
        centre = self.options.centre
        if centre is False:
            return people
        return centred(people, present, parts.centre if centre is True else self._joint(centre, parts.joints))

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, V, 2) of files with 2-D joints in pixels; for 3-D joints the camera is not known."""
        path = self._path(entry)
        joints, known = self._people(path)
        if joints.shape[-1] == 3:
            raise UserError(f"{path}: 3-D joints cannot be placed in the picture")
        joints[~known] = np.nan
        return (joints * (height / self._picture_height(path))).astype(np.float32)

    def _people(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """The people of every frame: joints (T, M, V, 2 or 3) in the file's units, and (T, M, V) which are known."""
        parts = get_layout(self.layout)
        joints, scores = self._split(path, own_files.read_joints(path, parts.joints))
        scores = np.where(np.isfinite(joints).all(-1) & np.isfinite(scores), scores, 0)
        weights = np.where((joints != 0).any(-1), scores, 0)
        labelled = own_files.are_labelled(path)
        if joints.shape[1] > 1 or not labelled:
            followed = follow(joints, np.maximum(weights, 0), self.persons, labelled)
            joints, scores = followed.take(joints, np.nan), followed.take(scores, 0)
            if followed.lost:
                log.warning("%s: %s", path, followed.lost)
        known: np.ndarray = (scores > 0) & (np.nan_to_num(joints) != 0).any((2, 3))[..., None]
        if self.options.zeros == "unseen":
            centre = self.options.centre
            named = [self._joint(centre, parts.joints)] if isinstance(centre, str) else []
            known &= ~unseen(joints, [*named, parts.centre, parts.root])
        return joints, known

    def _split(self, path: Path, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joints (T, M, V, 2 or 3) and their scores (T, M, V), 1 where a file has none, by the option `third`.

        Raises:
            UserError: the third numbers are no scores though they must be, or they may be either.
        """
        if joints.shape[-1] == 2:
            return joints, np.ones(joints.shape[:3])
        third, kind, flat = joints[..., 2], self.options.third, self.options.picture_height is not None
        if kind is None and np.nan_to_num(third).any():
            if not are_scores(third) if flat else seem_scores(third):
                found = "no scores of 2-D joints" if flat else "scores rather than depths"
                raise UserError(
                    f"{path}: the joints' third numbers are {np.nanmin(third):.4g} … {np.nanmax(third):.4g}, {found};"
                    " the option third: depth, or third: score with picture_height, says what they are"
                )
            kind = "score" if flat else "depth"
        if kind == "score":
            return joints[..., :2], third
        return (joints if kind or not flat else joints[..., :2]), np.ones(joints.shape[:3])

    def _path(self, entry: ClipEntry) -> Path:
        assert self.skeletons is not None
        if not _inside(self.skeletons, entry.skeleton):
            raise UserError(f"{entry.skeleton}: leads out of {self.skeletons}")
        return self.skeletons / entry.skeleton

    def _picture_height(self, path: Path) -> float:
        if self.options.picture_height is None:
            raise UserError(
                f"{path}: 2-D joints need the option picture_height, the pictures' height in their unit"
            )
        return self.options.picture_height

    def _scaled(self, path: Path, joints: np.ndarray) -> np.ndarray:
        """Metres, or parts of the picture's height, with y up, from the file's own units (T, M, V, 3 or 2)."""
        up = self.options.up
        if joints.shape[-1] == 3:
            turned = joints @ np.array(TO_Y[up]).T if up and up != "y" else joints
            return turned * self.options.scale
        if up not in (None, "y", "-y"):
            raise UserError(f"{path}: the option up: {up}, but its joints have two dimensions; y or -y")
        flat = joints / self._picture_height(path) * (1, 1 if up == "y" else -1)
        return np.concatenate([flat, np.where(np.isnan(flat[..., :1]), np.nan, 0)], -1)

    def _fill(
        self, path: Path, joints: np.ndarray, present: np.ndarray, known: np.ndarray, names: tuple[str, ...]
    ) -> None:
        """Fill unknown joints of present people in place, or refuse them, by the option `missing_joints`."""
        gaps = np.argwhere(present[..., None] & ~known)
        if not len(gaps):
            return
        frame, person, joint = gaps[0]
        finite = np.isfinite(joints).all(-1)
        if self.options.missing_joints == "refuse":
            raise UserError(
                f"{path}: frame {frame}, person {person}, {names[joint]}: {_missing(finite[frame, person, joint])}"
                f" ({len(gaps)} such in all); the option missing_joints: interpolate fills them in time"
            )
        for one in range(joints.shape[1]):
            there = present[:, one]
            never = there.any() & ~known[there, one].any(0)
            if never.any():
                joint = int(np.argmax(never))
                what = _missing(finite[there, one, joint].any())
                raise UserError(f"{path}: person {one}, {names[joint]}: {what} in any frame")
            joints[there, one] = fill_gaps(joints[there, one], known[there, one])

    def _joint(self, name: str, names: tuple[str, ...]) -> int:
        if name not in names:
            raise UserError(f"options.centre: the layout {self.layout} has no joint {shown(name)}")
        return names.index(name)


def _missing(finite: bool) -> str:
    return "not seen (zero, or of score 0)" if finite else "not finite"


def _inside(folder: Path, path: str) -> bool:
    """Whether a relative path stays in the folder, links followed."""
    if leads_out(path):
        return False
    return Path(os.path.realpath(folder / path)).is_relative_to(os.path.realpath(folder))


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
