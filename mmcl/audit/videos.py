"""Videos against skeletons: missing videos, videos without skeletons, and lengths that do not fit."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmcl.audit.finding import Finding
from mmcl.audit.source import Source
from mmcl.datasets.files import walk
from mmcl.errors import UserError
from mmcl.progress import tracked

ENDINGS = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg")

TOLERANCE_FRAMES, TOLERANCE_PART = 3, 0.05
"""A video may be this much longer or shorter than expected, whichever is more."""


def find_video_faults(source: Source, lengths: dict[str, int]) -> Iterator[Finding]:
    """Compare videos with skeletons.

    Frame rates of cameras differ, so a length is compared by its ratio to the skeleton's with the median ratio of all
    clips. Lengths are read from the containers; videos whose length does not fit are decoded to count their frames.

    Args:
        source: clips with `videos`.
        lengths: clip → frames of its skeleton.
    """
    if source.videos is None:
        return
    used = set(source.video.values())
    endings = {_ending(name, path) for name, path in source.video.items()} or set(ENDINGS)
    for path in sorted(walk(source.videos)):
        if path not in used and path.lower().endswith(ENDINGS) and path.lower().endswith(tuple(endings)):
            yield Finding("video_alone", (), path)
    for name in source.clips.names:
        if name not in source.video:
            yield Finding("video_missing", (name,), "no video")
    counts = {}
    for name, frames in tracked(lengths.items(), "videos", "clips"):
        if name in source.video:
            count = claimed_frames(source.videos / source.video[name])
            if count:
                counts[name] = count / frames
            else:
                yield Finding("video_unreadable", (name,), source.video[name])
    if not counts:
        return
    ratio = float(np.median(list(counts.values())))
    for name, own in counts.items():
        if _fits(own * lengths[name], ratio * lengths[name]):
            continue
        try:
            count = _decoded_frames(source.videos / source.video[name])
        except UserError as error:
            yield Finding("video_unreadable", (name,), str(error))
            continue
        if not _fits(count, ratio * lengths[name]):
            detail = f"video {count} frames, skeleton {lengths[name]}; {ratio:.3g} × expected, as in the other clips"
            yield Finding("video_length", (name,), detail)


def claimed_frames(path: Path) -> int:
    """Frames of a video as its container states; 0 if it does not open or states none."""
    from mmcl.video import decode

    try:
        return decode.claimed_frames(decode.open_video(path))
    except UserError:
        return 0


def _decoded_frames(path: Path) -> int:
    from mmcl.video.decode import Recording

    return Recording(path).frames


def _fits(frames: float, expected: float) -> bool:
    return abs(frames - expected) <= max(TOLERANCE_FRAMES, TOLERANCE_PART * expected)


def _ending(name: str, path: str) -> str:
    """What follows the clip's name in its video's, such as `_color.avi`: other modalities may lie beside it."""
    file = os.path.basename(path)
    ending = file.removeprefix(name) if file.startswith(name) else os.path.splitext(file)[1]
    return ending.lower()
