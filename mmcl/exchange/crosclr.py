"""CrosSCLR's and IKEM's folders of one protocol (Li et al., CVPR 2021; Wei et al., ICASSP 2024).

`train_data_joint.npy` and `val_data_joint.npy` are (N, 3, T, V, M) float32, padded with zeros to 300 frames and two
people; `train_label.pkl` and `val_label.pkl` hold (names, labels), IKEM's (names, labels, frames). The scripts
of ST-GCN and 2s-AGCN write the same.
"""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_file
from mmcl.datasets.names import clip_name
from mmcl.errors import UserError, one_line
from mmcl.exchange.arrays import Rows, open_npy
from mmcl.exchange.names import named_clip
from mmcl.exchange.people import LAYOUT_TEXT, ExchangeOptions, ExchangeReader
from mmcl.exchange.safe_pickle import FileArray, load
from mmcl.layouts import get_layout
from mmcl.settings import base

PARTS = {"train": "train", "val": "test"}
"""Part of the folder → side of the protocol."""

DATA = ("{}_data_joint.npy", "{}_data.npy", "{}_position.npy")
"""File names of the coordinates; the last is IKEM's after its own preprocessing (50 frames, turned to the front)."""


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
    def _parts(self) -> dict[str, tuple[Rows, list[str], list[int]]]:
        """Part → coordinates, names, labels."""
        found = {
            part: self._part(part, path)
            for part in PARTS
            if (path := find_file(self.skeletons, f"{part}_label.pkl"))
        }
        if not found:
            raise UserError(f"{self.skeletons}: no train_label.pkl or val_label.pkl. {self.what_belongs}")
        return found

    def _part(self, part: str, path: Path) -> tuple[Rows, list[str], list[int]]:
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
        return data, [clip_name(name) for name in names], list(labels)

    @cached_property
    def _classes(self) -> dict[str, str]:
        return self.classes_of(
            [pair for _, names, labels in self._parts.values() for pair in zip(names, labels, strict=True)]
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
        for part, (_, names, labels) in self._parts.items():
            for row, (name, label) in enumerate(zip(names, labels, strict=True)):
                if name in entries:
                    raise UserError(f"{self.skeletons}: {one_line(name)} occurs twice")
                place, video = f"{part}/{row}", videos.get(name, "")
                entries[name] = self.identified(named_clip(name, label, PARTS[part], place, video, ids))
        return [entries[name] for name in sorted(entries)]

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3); see `as_clip`."""
        part, row = self.part_and_row(
            entry, lambda part: len(self._parts[part][0]) if part in self._parts else None
        )
        return self.finish_clip(entry, self._parts[part][0].row(row).transpose(1, 3, 2, 0))
