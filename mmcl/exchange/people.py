"""From the zero-padded arrays of other tools to the people of a clip."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

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
from mmcl.skeleton.cleaning import centred, most_moving
from mmcl.skeleton.gaps import are_scores, fill_unseen, seem_scores, unseen
from mmcl.skeleton.tracking import follow

log = logging.getLogger(__name__)

PERSONS = 2
FARTHEST = 1e5
"""A coordinate beyond this is damage: whatever the unit, metres to millimetres, bodies are nearer."""


CHECKED = 50
"""Clips of each part of a file that are looked at where something is to be known of the whole file."""


def as_clip(people: np.ndarray, person2: str, centre: int | None) -> np.ndarray:
    """The people of a clip in the form of mmcl's readers.

    Frames without a person are dropped, the padding at the end with them. People who are in no frame are dropped. A
    second person who equals the first in every number is the copy that NTU RGB+D 120's scripts write into clips of one
    body.

    Args:
        people: (T, M, V, 3) of at most two people; one who is absent from a frame is all zero there.
        person2: `absent` drops a second person who is such a copy, `kept` keeps it, `duplicated` makes one where there
            is no second person, too.
        centre: the joint of person 1 whose first position becomes the origin; None leaves coordinates as they are.

    Returns:
        (T', M', V, 3) float32; M' is 1 or 2.

    Raises:
        UserError: there is no person.
    """
    present = (people != 0).any((2, 3))
    frames, persons = present.any(1), present.any(0)
    if not frames.any():
        raise UserError("no person is in any frame")
    people, present = people[frames][:, persons], present[frames][:, persons]
    if person2 == "absent" and holds_copy(people):
        people, present = people[:, :1], present[:, :1]
    if people.shape[1] == 1 and person2 == "duplicated":
        people, present = np.repeat(people, PERSONS, axis=1), np.repeat(present, PERSONS, axis=1)
    return people if centre is None else centred(people, present, centre)


def holds_copy(people: np.ndarray) -> bool:
    """Whether the second person of (T, M, V, 3) equals the first in every number, and is there."""
    return people.shape[1] == PERSONS and bool(people.any()) and np.array_equal(people[:, 0], people[:, 1])


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
        description="What replaces the second person of a clip with one person: nothing, or the first person again, as"
        " in the copies of NTU RGB+D 120; where a file holds such copies, no others are made.",
    )
    third: Annotated[Literal["depth", "score"] | None, base.OFF] = Field(
        None,
        description="What a joint's third number is; left out, this is recognised, and what may be either is refused.",
    )
    zeros: Annotated[Literal["unseen", "places"], base.OFF] = Field(
        "unseen",
        description="What a joint at exactly zero is while others of the person are elsewhere; unseen ones are"
        " interpolated in time. The joint that a clip is centred on is always a place.",
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
    follows: ClassVar[bool] = True
    """Whether people are followed, and not taken as the file lists them."""

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

    def samples(self) -> Iterator[np.ndarray]:
        """Clips (T, M, V, 3) of the file, by which it is known what the whole file holds."""
        raise NotImplementedError

    def in_pictures(self, clip: np.ndarray) -> bool:
        """Whether positions of (n, 3) may be places in a picture: by default those of Kinetics-Skeleton, −½ … ½."""
        return bool((np.abs(clip[:, :2]) <= 0.5).all())

    @cached_property
    def scored(self) -> bool:
        """Whether the third numbers are scores of 2-D joints: by the option `third`, or what all samples hold.

        Raises:
            UserError: they may be either.
        """
        if self.options.third:
            return self.options.third == "score"
        flat, found = True, False
        for clip in self.samples():
            points = clip[(clip != 0).any(-1)]
            if len(points) and not seem_scores(points[:, 2]):
                return False
            found = found or len(points) > 0
            flat = flat and self.in_pictures(points)
        if found and not flat:
            raise UserError(
                f"{self.skeletons}: the joints' third numbers are within 0 … 1, as scores are; the option third: score"
                " or depth says what they are"
            )
        if found:
            log.info("%s: the joints' third numbers are taken as scores", self.skeletons)
        return found

    @cached_property
    def has_copies(self) -> bool:
        """Whether the file holds copies of persons where its scripts make them."""
        return any(holds_copy(clip) for clip in self.samples())

    def finish_clip(
        self, entry: ClipEntry, people: np.ndarray, known: np.ndarray | None = None
    ) -> np.ndarray:
        """`as_clip` by the reader's options; an error names the file and the place in it.

        Args:
            entry: the clip.
            people: (T, M, V, 3), the third number as in the file.
            known: (T, M, V) which joints were seen and the third number is no score; None to find out here.
        """
        where, skeleton = f"{self.skeletons}/{entry.skeleton}", get_layout(self.layout)
        people = people.astype(np.float32)
        with np.errstate(invalid="ignore"):
            good = (np.abs(people) <= FARTHEST).all((1, 2, 3))  # false for NaN too
        if not good.all():
            frame = int(np.argmin(good))
            raise UserError(f"{where}: frame {frame}: a coordinate is not finite or absurdly large")
        lists = known is None and self.scored  # in such files a frame lists people by their scores
        if lists:
            if people.any() and not are_scores(people[..., 2]):
                raise UserError(f"{where}: the joints' third numbers are no scores; see the option third")
            known = people[..., 2] > 0
            people = people * np.array([1, -1, 0], np.float32) * np.asarray(known.any(2))[..., None, None]
        search = self.options.zeros == "unseen" and (known is None or lists)
        known = np.ones(people.shape[:3], bool) if known is None else known
        somewhere = people.any((0, 2, 3))
        people, known = people[:, somewhere], known[:, somewhere]
        if self.follows and people.shape[1] > 1:
            sure = people.any(-1) & (known | ~np.asarray(known.any(2))[..., None])
            followed = follow(people, sure, PERSONS, labelled=not lists)
            people, known, lost = followed.take(people, 0), followed.take(known, False), followed.lost
        else:
            kept = most_moving(people, PERSONS)
            lost = f"kept the {PERSONS} people with the most motion of {people.shape[1]}"
            lost = lost if len(kept) < people.shape[1] else ""
            people, known = people[:, kept], known[:, kept]
        if lost:
            log.warning("%s: %s", where, lost)
        there = np.asarray(people.any((2, 3)))
        if search:
            known = known & ~unseen(people, [skeleton.centre, skeleton.root])
        for person in np.flatnonzero((there[..., None] & ~known).any((0, 2))):
            fill_unseen(people[:, person], known[:, person], there[:, person])
        try:
            return as_clip(people, self.person2(entry), skeleton.centre if self.options.centre else None)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def person2(self, entry: ClipEntry) -> str:
        """What `as_clip` does where there is no second person.

        CTR-GCN's script for NTU RGB+D 120 copies the only body of a clip, and not a person who was tracked under two
        ids. Where a file holds such copies, they are those.
        """
        return "kept" if self.options.person2 == "duplicated" and self.has_copies else self.options.person2

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
