"""The clips of a skeleton store that train and test in a benchmark: its protocol less its list of exclusions."""

import logging
from dataclasses import dataclass

import numpy as np

from mmcl.datasets.exclusion import read_planned
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import Clips, split
from mmcl.settings.protocol import SelectionSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Which clips take part, and which do not.

    Attributes:
        train, test: (N,) boolean over the rows of the store; disjoint.
        train_left_out, test_left_out: {name, reason} of the clips that belong there by the protocol, but have no
            usable skeleton or are excluded.
    """

    train: np.ndarray
    test: np.ndarray
    train_left_out: list[dict[str, str]]
    test_left_out: list[dict[str, str]]


def select(source: SkeletonStore, settings: SelectionSettings) -> Selection:
    """Split a store's clips into training and test clips.

    Clips without a usable skeleton count in random halves: whether one can be read moves no other.

    Args:
        source: the store.
        settings: protocol and exclusions.

    Raises:
        UserError: there is no such protocol, or the list is not the planned one.
    """
    failed = source.failed_clips
    parts = split(settings.protocol, _together(source.clips, failed), settings.rule)
    excluded: set[str] = set()
    reason = ""
    if exclude := settings.exclude:
        excluded, reason = read_planned(exclude), f"excluded by {exclude.file}"
        unknown = excluded - {*source.names, *source.failed}
        if unknown:
            log.warning(
                "%s: %d of %d names are no clips of %s, %s for one",
                *(exclude.file, len(unknown), len(excluded), source.path, min(unknown)),
            )
    out = np.array([name in excluded for name in source.names], bool)
    left_out = []
    for part in parts:
        inside = part[len(source) :]
        left_out.append(
            [
                {"name": name, "reason": reason if name in excluded else why}
                for (name, why), keep in zip(source.failed.items(), inside, strict=True)
                if keep
            ]
            + [
                {"name": source.names[row], "reason": reason}
                for row in np.flatnonzero(part[: len(source)] & out)
            ]
        )
    train, test = (part[: len(source)] & ~out for part in parts)
    return Selection(train, test, *left_out)


def _together(clips: Clips, failed: Clips) -> Clips:
    columns = [np.concatenate(pair) for pair in zip(clips[1:], failed[1:], strict=True)]
    return Clips([*clips.names, *failed.names], *columns)
