"""Northwestern-UCLA (Wang et al., CVPR 2014): 10 actions, 10 subjects, 3 Kinect v1 at the same time.

The skeletons are read in the form that CTR-GCN, HD-GCN and InfoGCN use: one json file per clip.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import find_recordings, walk
from mmcl.datasets.one_person import one_person
from mmcl.errors import UserError, one_line, shown
from mmcl.naming import PROJECT
from mmcl.settings import base

NAME = re.compile(r"(a\d{2})_s(\d{2})_e(\d{2})_v(\d{2})")
VIDEO = re.compile(r"(a\d{2})[/\\](v\d{2})_(s\d{2})_(e\d{2})\.(?i:avi|mp4)")
JOINTS = 20
MAX_BYTES = 16 << 20
"""A clip has some 30 kB. Parsed, json may take 30 times its size, so that this keeps memory below 500 MB."""


class NwUclaReader:
    """`a01_s01_e00_v01.json` files (`file_name`, `skeletons` T × 20 × 3, `label` 1 … 10), in any sub-folder.

    The videos are those of the data set's release, `a01/v01_s01_e00.avi`, or named as the skeletons are.
    """

    layout: ClassVar[str] = "ucla20"
    persons: ClassVar[int] = 1
    what_belongs: ClassVar[str] = (
        "Northwestern-UCLA skeletons (a01_s01_e00_v01.json, the folder all_sqe) and videos"
        " (multiview_action_videos/a01/v01_s01_e00.avi), unpacked into any sub-folders; see docs/datasets.md"
    )
    two_person_actions: ClassVar[frozenset[str]] = frozenset()
    Options: ClassVar[type[base.Options]] = base.Options
    skeleton_suffixes: ClassVar[tuple[str, ...]] = (".json",)
    video_suffixes: ClassVar[tuple[str, ...]] = (".avi", ".mp4")

    def __init__(self, skeletons: Path, videos: Path | None, options: base.Options):
        self.skeletons = skeletons
        self.videos = videos
        self.labels = {action: float(label) for label, action in enumerate(self.class_names(), 1)}

    def class_names(self) -> dict[str, str]:
        """`a01` … `a12` → name; there is no a07 and no a10."""
        lines = (PROJECT / "resources/nw_ucla/actions.txt").read_text(encoding="utf-8").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`. The camera is the view; there is one setup."""
        skeletons = find_recordings(self.skeletons, self.skeleton_suffixes)
        if not skeletons:
            raise UserError(f"{self.skeletons}: no .json file in it or below. {self.what_belongs}")
        videos = _find_videos(self.videos) if self.videos else {}
        return [self._entry(name, skeletons[name], videos.get(name, "")) for name in sorted(skeletons)]

    def _entry(self, name: str, skeleton: str, video: str) -> ClipEntry:
        match = NAME.fullmatch(name)
        if not match:
            return ClipEntry(name, "", 0, 0, 0, None, skeleton, video, "name is not aXX_sXX_eXX_vXX")
        action, subject, _, view = match.groups()
        return ClipEntry(name, action, int(subject), int(view), 1, None, skeleton, video, "")

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, 1, 20, 3), without the frames that hold no position."""
        return one_person(self.skeletons / entry.skeleton, self.raw_clip(entry)[:, 0], self.layout)

    def raw_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, 1, 20, 3) metres, camera space, every frame of the file."""
        path = self.skeletons / entry.skeleton
        content = _read_json(path)
        # otherwise a renamed file would count as another subject's, and a wrong label as correct
        if content.get("file_name", entry.name) != entry.name:
            _fail(path, f"file_name is {shown(content['file_name'])}, not the name of the file")
        label, expected = content.get("label"), self.labels.get(entry.action)
        if type(label) is not float or label != expected:
            _fail(path, f"label is {shown(label)}, but action {entry.action} has label {expected!r}")
        return _joints(path, content.get("skeletons"))[:, None]

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """Unknown: the data set has no calibration of its colour cameras."""
        raise UserError(
            "Northwestern-UCLA has no calibration of its cameras: use video.boxes detector or whole_frame"
        )


def _find_videos(folder: Path) -> dict[str, str]:
    """Clip name → path relative to `folder`, of `…/a01/v01_s01_e00.avi` or `…/a01_s01_e00_v01.avi`."""
    found: dict[str, str] = {}
    for path in walk(folder):
        if match := VIDEO.search(path):
            action, view, subject, event = match.groups()
            name = "_".join((action, subject, event, view))
        else:
            name, ending = os.path.splitext(os.path.basename(path))
            if ending.lower() not in (".avi", ".mp4") or not NAME.fullmatch(name):
                continue
        if name in found:
            raise UserError(
                f"{folder}: {name} lies there twice, as {one_line(found[name])} and as {one_line(path)}; keep one"
            )
        found[name] = path
    return found


def _fail(path: Path, cause: str) -> NoReturn:
    raise UserError(f"{path}: {cause}")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _read_json(path: Path) -> dict[str, Any]:
    """The file's object, with every number as a float."""
    try:
        size = os.path.getsize(path)
        if size > MAX_BYTES:
            _fail(path, f"has {size} bytes; a clip has at most {MAX_BYTES}")
        content = json.loads(path.read_bytes(), parse_int=float, parse_constant=_no_number)
    except RecursionError:
        _fail(path, "cannot be read as JSON (nested too deeply)")
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no text
        _fail(path, f"cannot be read as JSON ({one_line(str(error), 200)})")
    if not isinstance(content, dict):
        _fail(path, "is no JSON object with file_name, skeletons and label")
    return content


def _joints(path: Path, frames: Any) -> np.ndarray:
    """(T, 20, 3) float64 from nested lists."""
    if not isinstance(frames, list) or not frames:
        _fail(path, "skeletons is not a list of frames, or an empty one")
    for number, frame in enumerate(frames, 1):
        if not isinstance(frame, list) or len(frame) != JOINTS:
            found = f"{len(frame)}" if isinstance(frame, list) else "no list"
            _fail(path, f"frame {number}: expected {JOINTS} joints, found {found}")
        for joint, place in enumerate(frame, 1):
            if not isinstance(place, list) or list(map(type, place)) != [float] * 3:
                _fail(path, f"frame {number}, joint {joint}: expected 3 numbers, found {shown(place)}")
    return np.array(frames)
