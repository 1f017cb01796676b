"""NTU RGB+D and NTU RGB+D 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020)."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from mmcl.datasets import ntu_file
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_recordings, numbered_names
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.naming import PROJECT
from mmcl.settings import base
from mmcl.skeleton.cleaning import PERSONS, Track, choose_bodies, clean, find_actors, pack_frames

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
MISSING = "listed as missing skeleton by the authors (302/535)"


class ClipName(NamedTuple):
    """The numbers in a clip's name."""

    setup: int
    camera: int
    subject: int
    replication: int
    action: int


def parse_name(name: str) -> ClipName | None:
    """`S001C002P003R002A013` as numbers; None if the name is not of this form."""
    match = NAME.fullmatch(name)
    return ClipName(*map(int, match.groups())) if match else None


@cache
def missing_names() -> frozenset[str]:
    """Clips that the authors list as without (usable) skeleton: 302 of NTU-60 and 233 more of NTU-120."""
    return frozenset((PROJECT / "resources" / "ntu" / "missing_skeletons.txt").read_text().split())


class NtuOptions(base.Options):
    """Options of the reader `ntu`."""

    max_action: base.Count = Field(
        120,
        description="The last action number that belongs to the set (60 makes NTU-60 out of an NTU-120 folder).",
    )
    max_setup: base.Count = Field(
        32, description="The last setup number that belongs to the set (17 for NTU-60)."
    )
    person2: Literal["absent", "duplicated"] = Field(
        "absent",
        description="What replaces the second person of a clip with one body: nothing, or the first person again. As in"
        " the public script, a person who was tracked under two ids is not copied.",
    )
    gaps: Literal["kept", "packed"] = Field(
        "kept",
        description="A body lost and found again under the same id keeps its frames, or continues at once, as in the "
        "public scripts.",
    )
    use_missing_list: bool = Field(
        True, description="Leave out the 535 clips whose skeletons the authors list as missing."
    )
    colour_size: base.Pair[Annotated[int, Field(ge=1)]] = Field(
        (1920, 1080),
        description="Width and height in pixels of the picture that the files' colour coordinates refer to.",
    )


class NtuReader:
    """`.skeleton` files and `_rgb.avi` videos as the authors distribute them, in any sub-folders."""

    layout: ClassVar[str] = "ntu25"
    persons: ClassVar[int] = 2
    what_belongs: ClassVar[str] = (
        "NTU RGB+D skeletons (SsssCcccPpppRrrrAaaa.skeleton) and RGB videos (…_rgb.avi), unpacked into any"
        " sub-folders; from the ROSE Lab, Nanyang Technological University, on request"
    )
    two_person_actions: ClassVar[frozenset[str]] = frozenset(
        f"A{number:03d}" for number in (*range(50, 61), *range(106, 121))
    )
    Options: ClassVar[type[base.Options]] = NtuOptions
    skeleton_suffixes: ClassVar[tuple[str, ...]] = (".skeleton",)
    video_suffixes: ClassVar[tuple[str, ...]] = ("_rgb.avi", "_rgb.mp4")

    def __init__(self, skeletons: Path, videos: Path | None, options: NtuOptions):
        self.skeletons = skeletons
        self.videos = videos
        self.options = options

    def class_names(self) -> dict[str, str]:
        """Class id → name, up to the option `max_action`."""
        named = numbered_names("ntu/actions.txt", "A", 3)
        return {action: name for action, name in named.items() if int(action[1:]) <= self.options.max_action}

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. Clips beyond `max_action` or `max_setup` belong to another set and are not listed."""
        skeletons = find_recordings(self.skeletons, self.skeleton_suffixes)
        if not skeletons:
            raise UserError(f"{self.skeletons}: no .skeleton file in it or below. {self.what_belongs}")
        videos = find_recordings(self.videos, self.video_suffixes) if self.videos else {}
        entries = [self._entry(name, skeletons[name], videos.get(name, "")) for name in sorted(skeletons)]
        return [entry for entry in entries if entry]

    def _entry(self, name: str, skeleton: str, video: str) -> ClipEntry | None:
        parts = parse_name(name)
        if parts is None:
            return ClipEntry(name, "", 0, 0, 0, None, skeleton, video, "name is not SsssCcccPpppRrrrAaaa")
        if parts.action > self.options.max_action or parts.setup > self.options.max_setup:
            return None
        left_out = MISSING if self.options.use_missing_list and name in missing_names() else ""
        action = f"A{parts.action:03d}"
        return ClipEntry(
            name, action, parts.subject, parts.camera, parts.setup, None, skeleton, video, left_out
        )

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, 25, 3); M is 2 where two people are seen or `person2` duplicates the only body, else 1."""
        tracks = self._tracks(self._read(entry))
        people = clean(tracks, get_layout(self.layout).centre)
        if self.options.person2 == "duplicated" and len(choose_bodies(tracks)) == 1:
            people = np.repeat(people, PERSONS, axis=1)
        return people

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, 25, 3) metres: the people of `read_clip` in every recorded frame; zero where they were not tracked."""
        file = self._read(entry)
        actors = find_actors(self._tracks(file))
        joints = np.zeros((file.frames, len(actors), ntu_file.JOINTS, 3), np.float32)
        for person, actor in enumerate(actors):
            for body in (file.bodies[i] for i in actor):
                joints[body.frames, person] = body.joints
        return joints

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, 25, 2), the file's colour coordinates scaled from the option `colour_size` to the video."""
        file = self._read(entry, ["colour"])
        actors = find_actors(self._tracks(file))
        pixels = np.full((file.frames, len(actors), ntu_file.JOINTS, 2), np.nan, np.float32)
        for person, actor in enumerate(actors):
            for body in (file.bodies[i] for i in actor):
                pixels[body.frames, person] = body.fields["colour"]
        return pixels * (
            np.array([width, height], np.float32) / np.array(self.options.colour_size, np.float32)
        )

    def _read(self, entry: ClipEntry, fields: Sequence[str] = ()) -> ntu_file.SkeletonFile:
        return ntu_file.read(self.skeletons / entry.skeleton, fields)

    def _tracks(self, file: ntu_file.SkeletonFile) -> list[Track]:
        tracks = [Track(body.frames, body.joints) for body in file.bodies]
        return pack_frames(tracks) if self.options.gaps == "packed" else tracks
