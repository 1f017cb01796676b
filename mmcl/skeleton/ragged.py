"""Clips of different lengths in one tensor, so that a batch is gathered without a loop over clips."""

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmcl.skeleton.cleaning import most_moving

log = logging.getLogger(__name__)


class Ragged(NamedTuple):
    """N clips, their frames one after another.

    Attributes:
        joints: (3, sum of frames, V, M) float32: frames are picked as rows of V·M numbers, and what is picked is in
            the order that networks take.
        start: (N) int64, where each clip begins.
        length: (N) int64, frames of each clip.
    """

    joints: Tensor
    start: Tensor
    length: Tensor

    def to(self, device: torch.device | str) -> "Ragged":
        """The same on another device."""
        return Ragged(*(part.to(device) for part in self))

    def sent(self, device: torch.device) -> "Ragged":
        """`to`, which does not wait until a GPU has finished what it is doing. For a few clips: memory is pinned."""
        if device.type != "cuda":
            return self.to(device)
        return Ragged(*(part.pin_memory().to(device, non_blocking=True) for part in self))

    def clip(self, i: int) -> np.ndarray:
        """(T, M, V, 3) of clip i, people that it lacks all zero; no copy. For clips on the CPU."""
        frames = slice(int(self.start[i]), int(self.start[i] + self.length[i]))
        return self.joints[:, frames].permute(1, 3, 2, 0).numpy()


def join(
    clips: Iterable[np.ndarray], persons: int, lengths: Sequence[int] | np.ndarray | None = None
) -> Ragged:
    """Put clips together.

    Args:
        clips: one or more arrays (T, M, V, 3); T and M may differ.
        persons: people per clip in the result. Those a clip lacks are zero; of more, those with the most motion are
            kept (`cleaning.most_moving`).
        lengths: T of each clip. With them no clip is needed any more when the next one is taken, so that they may be
            read one after another.
    """
    if lengths is None:
        clips = list(clips)
        lengths = [len(clip) for clip in clips]
    length = torch.tensor(lengths, dtype=torch.int64)
    start = length.cumsum(0) - length
    joints: Tensor | None = None
    crowded = 0
    for begin, clip in zip(start.tolist(), clips, strict=True):
        if joints is None:
            joints = torch.zeros(3, int(length.sum()), clip.shape[2], persons)
        if clip.shape[1] > persons:
            clip = clip[:, most_moving(clip, persons)]
            crowded += 1
        part = np.ascontiguousarray(clip.transpose(3, 0, 2, 1))
        joints[:, begin : begin + len(clip), :, : clip.shape[1]] = torch.from_numpy(part)
    assert joints is not None
    if crowded:
        log.warning(
            "%d clips have more than %d people; those with the most motion are seen", crowded, persons
        )
    return Ragged(joints, start, length)
