"""From the zero-padded arrays of other tools to the people of a clip."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_recordings
from mmcl.datasets.ntu import NtuReader
from mmcl.errors import UserError, one_line
from mmcl.exchange.names import (
    class_names_of,
    label_order,
    labelled_classes,
    list_named_clips,
    read_classes,
)
from mmcl.layouts import get_layout
from mmcl.settings import base
from mmcl.skeleton.cleaning import centred

PERSONS = 2
FARTHEST = 1e5
"""A coordinate beyond this is damage: whatever the unit, metres to millimetres, bodies are nearer."""


def as_clip(people: np.ndarray, person2: str, centre: int | None) -> np.ndarray:
    """The people of a clip in the form of mmcl's readers.

    Frames without a person are dropped, the padding at the end with them. People who are in no frame are dropped,
    and of more than two the first two are kept. A second person who equals the first in every number is the copy that
    NTU RGB+D 120's scripts write into single-person clips.

    Args:
        people: (T, M, V, 3); a person who is absent from a frame is all zero there.
        person2: `absent` drops a second person who is such a copy, `duplicated` makes one where there is none.
        centre: the joint of person 1 whose first position becomes the origin; None leaves coordinates as they are.

    Returns:
        (T', M', V, 3) float32; M' is 1 or 2.

    Raises:
        UserError: there is no person, or a coordinate is not finite or beyond FARTHEST.
    """
    people = people.astype(np.float32)
    with np.errstate(invalid="ignore"):
        good = (np.abs(people) <= FARTHEST).all((1, 2, 3))  # false for NaN too
    if not good.all():
        raise UserError(f"frame {int(np.argmin(good))}: a coordinate is not finite or absurdly large")
    present = (people != 0).any((2, 3))
    frames, persons = present.any(1), np.flatnonzero(present.any(0))[:PERSONS]
    if not frames.any():
        raise UserError("no person is in any frame")
    people, present = people[frames][:, persons], present[frames][:, persons]
    if len(persons) == PERSONS and person2 == "absent" and np.array_equal(people[:, 0], people[:, 1]):
        people, present = people[:, :1], present[:, :1]
    if people.shape[1] == 1 and person2 == "duplicated":
        people, present = np.repeat(people, PERSONS, axis=1), np.repeat(present, PERSONS, axis=1)
    return people if centre is None else centred(people, present, centre)


LAYOUT_TEXT = "Joint layout of the skeletons, a name (docs/layouts.md) or the path of a layout's .json"


class ExchangeOptions(base.Options):
    """Options that all readers of exchange formats have."""

    layout: base.Text | None = Field("ntu25", description=f"{LAYOUT_TEXT}.")
    names: base.Text | None = Field(
        None,
        description="List of all clips (skes_available_name.txt, an index .tsv or a store .h5), from which clips get "
        "their subjects, cameras and setups.",
    )
    classes: base.Text | None = Field(
        None,
        description="Text file whose line i names label i, as name or id and name with a tab between.",
    )
    person2: Literal["absent", "duplicated"] = Field(
        "absent",
        description="What replaces the second person of a clip with one person: nothing, or the first person again.",
    )
    centre: bool = Field(
        True,
        description="Whether the first position of person 1's centre joint is subtracted from a clip.",
    )


class ExchangeReader:
    """What the readers of exchange formats share: options, layout, videos by name.

    See `mmcl.datasets.Reader`, and `list_named_clips` and `read_classes` of `mmcl.exchange.names` for the options
    `names` and `classes`. `skeletons` is a file where `reads_file` is true.
    """

    layout: str
    persons: ClassVar[int] = PERSONS
    reads_file: ClassVar[bool]
    lists_content: ClassVar[bool] = True
    skeleton_suffixes: ClassVar[tuple[str, ...]] = (".npy", ".npz", ".pkl")
    video_suffixes: ClassVar[tuple[str, ...]] = ("_rgb.avi", "_rgb.mp4", ".avi", ".mp4")
    what_belongs: ClassVar[str]
    two_person_actions: ClassVar[frozenset[str]] = NtuReader.two_person_actions
    Options: ClassVar[type[base.Options]]
    options: ExchangeOptions

    def __init__(self, skeletons: Path, videos: Path | None, options: ExchangeOptions):
        self.skeletons = skeletons
        self.videos = videos
        self.options = options
        self.layout = options.layout or self.find_layout()
        get_layout(self.layout)

    def find_layout(self) -> str:
        """The layout where no option names it.

        Raises:
            UserError: it cannot be known.
        """
        raise UserError(
            "options.layout: is missing; a name (docs/layouts.md) or the path of a layout's .json"
        )

    @cached_property
    def known(self) -> list[ClipEntry]:
        """The clips of the option `names`; none without it."""
        return list_named_clips(self.options.names) if self.options.names else []

    @cached_property
    def _known_by_name(self) -> dict[str, ClipEntry]:
        return {entry.name: entry for entry in self.known}

    def classes_of(self, labels: Sequence[tuple[str, int]]) -> dict[str, str]:
        """Class id → name, in the order of labels: by the options `classes` and `names`, or `labelled_classes`.

        Args:
            labels: name and label of each clip.

        Raises:
            UserError: the list of classes cannot be read, or the labels count its lines from one.
        """
        numbers = {label for _, label in labels}
        if self.options.classes:
            classes = read_classes(Path(self.options.classes))
            if len(classes) in numbers and 0 not in numbers:
                raise UserError(
                    f"{self.skeletons}: labels go from {min(numbers)} to {max(numbers)}, but line 1 of"
                    f" {self.options.classes} names label 0; subtract 1 from the labels"
                )
            return classes
        if self.options.names:
            named = class_names_of(self.options.names)
            return {key: named.get(key, key) for key in label_order(self.known, max(numbers, default=0) + 1)}
        return labelled_classes(labels)

    def identified(self, entry: ClipEntry) -> ClipEntry:
        """An entry with subject, camera and setup from the option `names`, if that has the clip."""
        known = self._known_by_name.get(entry.name)
        if known is None:
            return entry
        wrong = (
            ""
            if known.action == entry.action
            else f"its label is {one_line(entry.action)}, its action {one_line(known.action)}"
        )
        return replace(
            entry,
            action=known.action,
            subject=known.subject,
            camera=known.camera,
            setup=known.setup,
            left_out=entry.left_out or wrong,
        )

    def find_videos(self, named: Callable[[str], str] | None = None) -> dict[str, str]:
        """Clip name → path of its video relative to the folder of videos; `named` see `find_recordings`."""
        return find_recordings(self.videos, self.video_suffixes, named) if self.videos else {}

    def finish_clip(self, entry: ClipEntry, people: np.ndarray) -> np.ndarray:
        """`as_clip` by the reader's options; an error names the file and the place in it."""
        centre = get_layout(self.layout).centre if self.options.centre else None
        try:
            return as_clip(people, self.options.person2, centre)
        except UserError as error:
            raise UserError(f"{self.skeletons}/{entry.skeleton}: {error}") from None

    def part_and_row(self, entry: ClipEntry, parts: Callable[[str], int | None]) -> tuple[str, int]:
        """Part and row that an entry's `skeleton`, such as `x_train/17`, names.

        Args:
            entry: the clip.
            parts: name of a part → its number of rows; None for a part that does not exist.

        Raises:
            UserError: there is no such row, as where the index is of another file.
        """
        part, _, row = entry.skeleton.partition("/")
        rows = parts(part)
        if rows is None or not row.isascii() or not row.isdecimal() or len(row) > 9 or int(row) >= rows:
            raise UserError(
                f"{self.skeletons}: has no {one_line(entry.skeleton, 80)}; the index was made of another file"
            )
        return part, int(row)

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """See `Reader`. These files do not hold where joints are in a picture.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.skeletons}: does not hold where joints are in a video; use boxes: detector")
