"""NTU RGB+D and NTU RGB+D 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020)."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from mmcl.datasets import ntu_file
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_recordings, numbered_names
from mmcl.errors import UserError
from mmcl.layouts import layout
from mmcl.naming import PROJECT

if TYPE_CHECKING:
    from mmcl.skeleton.cleaning import Track

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
    defaults: ClassVar[dict[str, Any]] = {
        "max_action": 120,
        "max_setup": 32,
        "person2": "absent",
        "gaps": "kept",
        "use_missing_list": True,
        "colour_size": [1920, 1080],
    }

    def __init__(self, skeletons: Path, videos: Path | None, options: dict[str, Any]):
        self.skeletons = skeletons
        self.videos = videos
        self.options = {**self.defaults, **options}
        if self.options["person2"] not in ("absent", "duplicated"):
            raise UserError(f"options.person2: {self.options['person2']!r} is not absent or duplicated")
        if self.options["gaps"] not in ("kept", "packed"):
            raise UserError(f"options.gaps: {self.options['gaps']!r} is not kept or packed")

    def class_names(self) -> dict[str, str]:
        """Class id → name, up to the option `max_action`."""
        named = numbered_names("ntu/actions.txt", "A", 3)
        return {
            action: name for action, name in named.items() if int(action[1:]) <= self.options["max_action"]
        }

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. Clips beyond `max_action` or `max_setup` belong to another set and are not listed."""
        skeletons = find_recordings(self.skeletons, (".skeleton",))
        if not skeletons:
            raise UserError(f"{self.skeletons}: no .skeleton file in it or below. {self.what_belongs}")
        videos = find_recordings(self.videos, ("_rgb.avi", "_rgb.mp4")) if self.videos else {}
        entries = [self._entry(name, skeletons[name], videos.get(name, "")) for name in sorted(skeletons)]
        return [entry for entry in entries if entry]

    def _entry(self, name: str, skeleton: str, video: str) -> ClipEntry | None:
        parts = parse_name(name)
        if parts is None:
            return ClipEntry(name, "", 0, 0, 0, None, skeleton, video, "name is not SsssCcccPpppRrrrAaaa")
        if parts.action > self.options["max_action"] or parts.setup > self.options["max_setup"]:
            return None
        left_out = MISSING if self.options["use_missing_list"] and name in missing_names() else ""
        action = f"A{parts.action:03d}"
        return ClipEntry(
            name, action, parts.subject, parts.camera, parts.setup, None, skeleton, video, left_out
        )

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, 25, 3); M is 2 where two people are seen or `person2` is `duplicated`, else 1."""
        from mmcl.skeleton.cleaning import PERSONS, clean

        people = clean(self._tracks(self._recording(entry)), layout(self.layout).centre)
        if people.shape[1] == 1 and self.options["person2"] == "duplicated":
            people = np.repeat(people, PERSONS, axis=1)
        return people

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, 25, 3) metres: the people of `read_clip` in every recorded frame, where they are seen, else zero."""
        from mmcl.skeleton.cleaning import find_actors

        recording = self._recording(entry)
        actors = find_actors(self._tracks(recording))
        joints = np.zeros((recording.frames, len(actors), ntu_file.JOINTS, 3), np.float32)
        for person, actor in enumerate(actors):
            for body in (recording.bodies[i] for i in actor):
                joints[body.frames, person] = body.joints
        return joints

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, 25, 2), the file's colour coordinates scaled from the option `colour_size` to the video."""
        from mmcl.skeleton.cleaning import find_actors

        recording = self._recording(entry, ["colour"])
        actors = find_actors(self._tracks(recording))
        pixels = np.full((recording.frames, len(actors), ntu_file.JOINTS, 2), np.nan, np.float32)
        for person, actor in enumerate(actors):
            for body in (recording.bodies[i] for i in actor):
                pixels[body.frames, person] = body.fields["colour"]
        return pixels * (
            np.array([width, height], np.float32) / np.array(self.options["colour_size"], np.float32)
        )

    def _recording(self, entry: ClipEntry, fields: Sequence[str] = ()) -> ntu_file.Recording:
        return ntu_file.read(self.skeletons / entry.skeleton, fields)

    def _tracks(self, recording: ntu_file.Recording) -> "list[Track]":
        from mmcl.skeleton.cleaning import Track, pack_frames

        tracks = [Track(body.frames, body.joints) for body in recording.bodies]
        return pack_frames(tracks) if self.options["gaps"] == "packed" else tracks
