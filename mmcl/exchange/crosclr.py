"""CrosSCLR's and IKEM's folders of one protocol (Li et al., CVPR 2021; Wei et al., ICASSP 2024).

`train_data_joint.npy` and `val_data_joint.npy` are (N, 3, T, V, M) float32, padded with zeros to 300 frames and two
people; `train_label.pkl` and `val_label.pkl` hold (names, labels), IKEM's (names, labels, frames). The scripts
of ST-GCN and 2s-AGCN write the same, for Kinetics-Skeleton with x and y from −½ to ½, y down, and scores.
"""

from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_file
from mmcl.datasets.names import clip_name
from mmcl.errors import UserError, one_line
from mmcl.exchange.arrays import Rows, open_npy
from mmcl.exchange.names import named_clip
from mmcl.exchange.people import CHECKED, LAYOUT_TEXT, ExchangeOptions, ExchangeReader
from mmcl.exchange.safe_pickle import FileArray, load
from mmcl.layouts import get_layout
from mmcl.settings import base

PARTS = {"train": "train", "val": "test"}
"""Part of the folder → side of the protocol."""

POSITION = "{}_position.npy"
"""IKEM's after its own preprocessing: all frames resampled to 50, every person centred and turned to the front."""
DATA = ("{}_data_joint.npy", "{}_data.npy", POSITION)
"""File names of the coordinates."""
MAX_FRAMES = 10_000
"""Frames of a recording; the longest of NTU RGB+D has 300."""
ROUGHNESS = 1e-5
"""Weight of the second difference in `recorded`, small enough to leave the samples as they are."""


class Part(NamedTuple):
    """A part of the folder: coordinates (N, 3, T, V, M), N names and labels, and IKEM's N numbers of frames."""

    data: Rows
    names: list[str]
    labels: list[int]
    frames: list[int] | None


@cache
def recorded(frames: int, samples: int) -> np.ndarray:
    """(frames, samples) what turns resampled frames into as many as were recorded.

    Samples were read at (i + ½) · frames / samples − ½, linearly between frames, as `transforms.crop_resize` does.
    Among the recordings that give these samples, this is the one with the least second differences; with no more frames
    than samples it is the recording itself.
    """
    time = np.clip((np.arange(samples) + 0.5) * frames / samples - 0.5, 0, frames - 1)
    before = np.minimum(time.astype(int), frames - 1)
    resample = np.zeros((samples, frames))
    np.add.at(resample, (np.arange(samples), before), 1 - (time - before))
    np.add.at(resample, (np.arange(samples), np.minimum(before + 1, frames - 1)), time - before)
    bend = ROUGHNESS * np.diff(np.eye(frames), 2, axis=0)
    wanted = np.concatenate([np.eye(samples), np.zeros((len(bend), samples))])
    inverse: np.ndarray = np.linalg.lstsq(np.concatenate([resample, bend]), wanted)[0]
    return inverse


def as_recorded(clip: np.ndarray, frames: int) -> np.ndarray:
    """A resampled clip (T, M, V, 3) with as many frames as were recorded; who was absent stays absent."""
    nearest = ((np.arange(frames) + 0.5) * len(clip) / frames).astype(int)
    there = np.asarray(clip.any((2, 3)))[nearest]
    people = np.tensordot(recorded(frames, len(clip)), clip.astype(np.float64), 1)
    return np.where(there[..., None, None], people, 0).astype(np.float32)


class CrosclrOptions(ExchangeOptions):
    """Options of the reader `crosclr`."""

    layout: base.Text = Field("ntu25", description=f"{LAYOUT_TEXT}.")
    centre: bool = Field(
        True,
        description="Whether the first position of person 1's centre joint is subtracted from a clip; false for IKEM's "
        "…_position.npy, which is centred in another way.",
    )


class CrosclrReader(ExchangeReader):
    """A folder of npy and pkl files."""

    reads_file: ClassVar[bool] = False
    what_belongs: ClassVar[str] = (
        "train_data_joint.npy, train_label.pkl, val_data_joint.npy and val_label.pkl, as CrosSCLR's scripts write them"
    )
    Options: ClassVar[type[base.Options]] = CrosclrOptions

    @cached_property
    def _parts(self) -> dict[str, Part]:
        found = {
            part: self._part(part, path)
            for part in PARTS
            if (path := find_file(self.skeletons, f"{part}_label.pkl"))
        }
        if not found:
            raise UserError(f"{self.skeletons}: no train_label.pkl or val_label.pkl. {self.what_belongs}")
        return found

    def _part(self, part: str, path: Path) -> Part:
        content = load(path)
        if not isinstance(content, tuple | list) or len(content) not in (2, 3):
            raise UserError(f"{path}: holds no (names, labels)")
        names, labels = content[:2]
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            raise UserError(f"{path}: names are not a list of texts")
        if isinstance(labels, FileArray) and labels.shape in ((len(names),), (len(names), 1)):
            labels = labels.read().reshape(-1).tolist()
        if not isinstance(labels, list | tuple) or not all(type(label) is int for label in labels):
            raise UserError(f"{path}: labels are not a list of integers")
        names_of_data = [form.format(part) for form in DATA]
        files = filter(None, (find_file(self.skeletons, name) for name in names_of_data))
        data = open_npy(next(files, self.skeletons / names_of_data[0]))
        joints = len(get_layout(self.layout))
        if len(data.shape) != 5 or data.shape[1] != 3 or data.shape[3] != joints:
            raise UserError(
                f"{data.where}: is {data.shape}, expected (clips, 3, frames, {joints} joints, people)"
            )
        if not len(data) == len(names) == len(labels):
            raise UserError(f"{path}: {len(names)} names and {len(labels)} labels for {len(data)} clips")
        frames = None
        if data.path.name.lower() == POSITION.format(part):
            frames = self._frames(path, content[2:], len(names))
        return Part(data, [clip_name(name) for name in names], list(labels), frames)

    @staticmethod
    def _frames(path: Path, third: Any, clips: int) -> list[int]:
        """The numbers of frames that belong to resampled coordinates."""
        found = third[0] if third else None
        found = found.read().reshape(-1).tolist() if isinstance(found, FileArray) else found
        if not isinstance(found, list | tuple) or len(found) != clips:
            raise UserError(
                f"{path}: holds no numbers of frames (names, labels, frames), and {POSITION.format('…')} is resampled:"
                " without them motion has no scale"
            )
        if not all(type(count) is int and 1 <= count <= MAX_FRAMES for count in found):
            raise UserError(f"{path}: numbers of frames are not integers from 1 to {MAX_FRAMES}")
        return list(found)

    @cached_property
    def _classes(self) -> dict[str, str]:
        return self.classes_of(
            [pair for part in self._parts.values() for pair in zip(part.names, part.labels, strict=True)]
        )

    def class_names(self) -> dict[str, str]:
        """Class id → name: of the option `classes`, NTU's where all names are, else `c0` …."""
        return self._classes

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`; `skeleton` is part and row, such as `train/17`, and `split` the side of that part.

        Raises:
            UserError: not such a folder, or a name occurs twice.
        """
        ids, videos = list(self._classes), self.find_videos()
        entries: dict[str, ClipEntry] = {}
        _ = self.scored  # known to be neither, this is said now
        for part, (_, names, labels, _) in self._parts.items():
            for row, (name, label) in enumerate(zip(names, labels, strict=True)):
                if name in entries:
                    raise UserError(f"{self.skeletons}: {one_line(name)} occurs twice")
                place, video = f"{part}/{row}", videos.get(name, "")
                entries[name] = self.identified(named_clip(name, label, PARTS[part], place, video, ids))
        return [entries[name] for name in sorted(entries)]

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3); see `as_clip`."""
        name, row = self.part_and_row(
            entry, lambda part: len(self._parts[part].data) if part in self._parts else None
        )
        part = self._parts[name]
        clip = part.data.row(row).transpose(1, 3, 2, 0)
        return self.finish_clip(entry, clip if part.frames is None else as_recorded(clip, part.frames[row]))

    def samples(self) -> Iterator[np.ndarray]:
        """See `ExchangeReader`."""
        for part in self._parts.values():
            rows = range(min(len(part.data), CHECKED))
            yield from (part.data.row(row).transpose(1, 3, 2, 0) for row in rows)
