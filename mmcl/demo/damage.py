"""Damaged recordings, as they occur in real data."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

KINDS = {
    "empty_skeleton": "the .skeleton file has 0 bytes",
    "truncated_skeleton": "the .skeleton file ends in the middle of a frame",
    "some_frames_nan": "all joints are NaN in some frames",
    "every_frame_nan": "all joints are NaN in every frame",
    "broken_video": "the video is cut off so early that nothing decodes",
    "nobody_in_video": "the video shows the empty room; the skeleton is good",
    "video_breaks_off": "the video breaks off half way; the skeleton is good",
}
"""Kind of damage -> its description in drawn.json."""


def plan(
    actions: Sequence[int], subjects: Sequence[int], cameras: Sequence[int]
) -> list[tuple[str, int, int, int]]:
    """Which recordings are damaged and how: (kind, action, subject, camera), each combination once."""
    combinations = [(a, s, c) for c, a, s in itertools.product(cameras, actions, subjects)]
    step = max(len(combinations) // len(cameras) // len(KINDS), 1)
    chosen = combinations[::step][: len(KINDS)]
    return [(kind, *where) for kind, where in zip(KINDS, chosen, strict=False)]


def damage_skeleton(text: str, kind: str) -> str:
    """The `.skeleton` text with the damage of this kind; unchanged for damage of the video."""
    if kind == "empty_skeleton":
        return ""
    if kind == "truncated_skeleton":
        return text[: int(len(text) * 0.6)]
    if kind in ("some_frames_nan", "every_frame_nan"):
        lines, frame = text.split("\n"), -1
        for number, line in enumerate(lines):
            fields = line.split()
            if len(fields) == 1 and number and not re.fullmatch("25", line):
                frame += 1
            if len(fields) == 12 and (kind == "every_frame_nan" or frame % 6 == 3):
                lines[number] = " ".join(["nan"] * 7 + fields[7:])
        return "\n".join(lines)
    return text


def damage_video(path: Path, kind: str) -> None:
    """Truncate a complete video file in place, for the kinds of damage to the video."""
    if kind == "broken_video":
        with path.open("r+b") as file:
            file.truncate(180)
    elif kind == "video_breaks_off":
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
