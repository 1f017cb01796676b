"""The findings of an audit, and the meaning of each kind."""

from typing import NamedTuple

KINDS = {
    "identical": "skeletons equal bit for bit",
    "copy": "all frames of both in common: moved, turned, mirrored or in another order",
    "excerpt": "at least half of the shorter clip is in the longer one",
    "overlap": "a few frames in common",
    "near_identical": "nearer to each other than any two recordings",
    "common_pose": "one and the same pose in many clips: no measurement",
    "conflicting_labels": "the same movement under different labels",
    "unreadable": "cannot be used",
    "not_finite": "NaN or infinite, or beyond a sensor's range",
    "empty_frames": "frames without a person",
    "frozen": "frames that repeat the one before",
    "one_frame": "a single frame",
    "jump": "a joint moves faster than a person can",
    "size": "a body that is no person's size: unit, or collapsed skeleton",
    "bone_length": "a bone whose length is not that of a bone",
    "zero_bone": "both ends of a bone in one place",
    "swap": "left and right are exchanged from one frame to the next",
    "sides": "left and right contradict the body's own geometry",
    "video_missing": "no video, though other clips have one",
    "video_alone": "a video without skeletons",
    "video_unreadable": "the video does not open",
    "video_length": "the video's length does not fit the skeleton's",
    "name_missing": "in the data set, not on the list",
    "name_unknown": "on the list, not in the data set",
    "name_repeated": "on the list more than once",
    "name_order": "the list's order is not that of the clips",
    "left_out": "the data set's own rules leave it out",
    "label_doubt": "the most similar clips have another label",
}
"""Kind → what it means."""

HINTS = frozenset({"left_out", "label_doubt"})
"""Kinds to check that are no faults: they do not count in the exit status."""


class Finding(NamedTuple):
    """One thing found.

    Attributes:
        kind: of KINDS.
        clips: the clips that it is about.
        detail: numbers and places.
    """

    kind: str
    clips: tuple[str, ...]
    detail: str
