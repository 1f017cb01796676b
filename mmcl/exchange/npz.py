"""CTR-GCN's npz files: NTU60_CS.npz, NTU60_CV.npz, NTU120_CSub.npz, NTU120_CSet.npz (Chen et al., ICCV 2021).

`x_train`, `x_test` are (N, 300, 150) float32, person-major: people × joints × xyz, centred, padded with zeros;
`y_train`, `y_test` are one-hot. The same files serve HD-GCN, InfoGCN and MMCL.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.names import MAX_LENGTH, clip_name
from mmcl.errors import UserError
from mmcl.exchange.arrays import Rows, open_npz
from mmcl.exchange.names import NTU_CLASSES, named_clip, ntu_classes, plain_classes
from mmcl.exchange.order import (
    SIDES,
    expected_classes,
    find_protocol,
    labels_of,
    mismatches,
    row_order,
)
from mmcl.exchange.people import CHECKED, LAYOUT_TEXT, ExchangeOptions, ExchangeReader
from mmcl.layouts import get_layout
from mmcl.settings import base


class CtrNpzOptions(ExchangeOptions):
    """Options of the reader `ctr_npz`."""

    layout: base.Text = Field("ntu25", description=f"{LAYOUT_TEXT}.")
    names: base.Text | None = Field(
        None,
        description="List of all clips (skes_available_name.txt, an index .tsv or a store .h5), which gives the rows "
        "their names, subjects, cameras and setups.",
    )
    protocol: base.Text | None = Field(
        None,
        description="The protocol by which the rows are ordered; found by counts and labels if left out.",
    )
    centre: bool = Field(
        False,
        description="Whether the first position of person 1's centre joint is subtracted from a clip; the public "
        "scripts have done so.",
    )


class CtrNpzReader(ExchangeReader):
    """One npz of CTR-GCN's scripts; names from a list of all names, from the file's own, or numbers."""

    reads_file: ClassVar[bool] = True
    what_belongs: ClassVar[str] = (
        "An npz file as CTR-GCN's scripts write it, with x_train, y_train, x_test and y_test, such as NTU60_CS.npz"
    )
    Options: ClassVar[type[base.Options]] = CtrNpzOptions
    options: CtrNpzOptions
    follows: ClassVar[bool] = False

    @cached_property
    def _arrays(self) -> dict[str, Rows]:
        return open_npz(self.skeletons)

    @cached_property
    def _labels(self) -> dict[str, np.ndarray]:
        return labels_of(self._arrays, self.skeletons)

    @cached_property
    def _classes(self) -> dict[str, str]:
        """Class id → name, in the order of labels."""
        count = self._arrays["y_train"].shape[1] if self._labels else 0
        if self.options.classes or self.options.names:
            classes = self.classes_of([("", label) for label in range(count)])
        elif count in NTU_CLASSES and self.layout == "ntu25":
            classes = ntu_classes(count)
        else:
            classes = plain_classes(count)
        if len(classes) != count:
            source = self.options.classes or self.options.names
            raise UserError(f"{self.skeletons}: has {count} classes, {source} names {len(classes)}")
        return classes

    def class_names(self) -> dict[str, str]:
        """Class id → name: NTU's of 60 or 120 classes, those of the option `classes`, or `c0` …."""
        return self._classes

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`; `skeleton` is array and row, such as `x_train/17`, and `split` the side of the protocol.

        Without any names clips are `train-000000` …, by row, and the protocol is `given`.

        Raises:
            UserError: not such a file, or the list of names is of another file.
        """
        videos = self.find_videos()
        entries = self._with_list() if self.known else self._without_list()
        return sorted(
            (replace(entry, video=videos.get(entry.name, "")) for entry in entries),
            key=lambda entry: entry.name,
        )

    def _with_list(self) -> list[ClipEntry]:
        clips, ids = expected_classes(self.known, len(self._classes))
        try:
            protocol = self.options.protocol or find_protocol(self._labels, clips, ids)
        except UserError as error:
            raise UserError(f"{self.skeletons}: {error}") from None
        if problems := mismatches(self._labels, clips, protocol, ids):
            raise UserError(
                f"{self.skeletons}: {self.options.names} is not its list of names: {'; '.join(problems)}"
            )
        ids = list(self._classes)  # the option `classes` may give them other names
        return [
            replace(
                clip,
                action=ids[self._labels[side][row]],
                split=side,
                skeleton=f"x_{side}/{row}",
            )
            for side, ordered in row_order(clips, protocol).items()
            for row, clip in enumerate(ordered)
        ]

    def _without_list(self) -> list[ClipEntry]:
        ids = list(self._classes)
        entries = [
            self.identified(named_clip(name, int(label), side, f"x_{side}/{row}", "", ids))
            for side in SIDES
            for row, (name, label) in enumerate(zip(self._own_names(side), self._labels[side], strict=True))
        ]
        if len({entry.name for entry in entries}) != len(entries):
            raise UserError(f"{self.skeletons}: a name occurs twice")
        return entries

    def _own_names(self, side: str) -> list[str]:
        """The names that mmcl's own npz files hold beside the arrays, or numbers."""
        own = self._arrays.get(f"names_{side}")
        if own is None:
            return [f"{side}-{row:06d}" for row in range(len(self._labels[side]))]
        if own.dtype.kind != "U" or own.shape != (len(self._labels[side]),):
            raise UserError(f"{own.where}: expected {len(self._labels[side])} names")
        if own.dtype.itemsize > 4 * MAX_LENGTH:
            raise UserError(f"{own.where}: names of more than {MAX_LENGTH} characters")
        names = own.rows(0, len(own))
        if np.frombuffer(names.tobytes(), f"{names.dtype.str[0]}u4").max(initial=0) > sys.maxunicode:
            raise UserError(f"{own.where}: is no text")
        return [clip_name(name) for name in names.tolist()]

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3), coordinates as in the file unless `centre` is true; see `as_clip`."""
        part, row = self.part_and_row(entry, lambda part: len(self._x[part]) if part in self._x else None)
        return self.finish_clip(entry, self._row(self._x[part], row))

    def _row(self, x: Rows, row: int) -> np.ndarray:
        joints = len(get_layout(self.layout))
        if len(x.shape) != 3 or x.shape[2] % (3 * joints):
            raise UserError(
                f"{x.where}: is {x.shape}, expected (clips, frames, people × {joints} joints × 3) for the layout"
                f" {self.layout}; set options.layout"
            )
        return x.row(row).reshape(x.shape[1], -1, joints, 3)

    def samples(self) -> Iterator[np.ndarray]:
        """See `ExchangeReader`."""
        for x in self._x.values():
            yield from (self._row(x, row) for row in range(min(len(x), CHECKED)))

    @cached_property
    def _x(self) -> dict[str, Rows]:
        return {key: rows for key, rows in self._arrays.items() if key in ("x_train", "x_test")}
