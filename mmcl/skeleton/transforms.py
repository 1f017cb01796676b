"""Crop, resampling in time and rotation of a batch of clips at once, on the device of the clips.

The same numbers as CTR-GCN's feeders (Chen et al., ICCV 2021), the one for NTU, which MMCL uses unchanged, and
the one for NW-UCLA. All frames of a clip are valid: stores keep no padding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.skeleton.ragged import Ragged


def random_crop(length: Tensor, share: Tensor, position: Tensor, min_frames: int) -> tuple[Tensor, Tensor]:
    """Where a training crop lies.

    Args:
        length: (B) frames of the clips.
        share: (B) float64, part of the clip to keep.
        position: (B) float64 in [0, 1), where among the possible first frames it begins.
        min_frames: fewest frames to keep; a clip that has no more is kept whole.

    Returns:
        First frame and number of frames, (B) int64 each.
    """
    kept = (length * share).long().clamp(min=min_frames).minimum(length)
    return (position * (length - kept + 1)).long(), kept


def centre_crop(length: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Where a test crop lies: ⌊(1 − share) · length / 2⌋ frames are cut off at each end.

    Returns:
        First frame and number of frames, (B) int64 each.
    """
    cut = ((1 - share) * length.double() / 2).long()
    return cut, length - 2 * cut


def crop_resize(clips: Ragged, rows: Tensor, first: Tensor, kept: Tensor, window: int) -> Tensor:
    """Resample a part of each clip to `window` frames, linearly between frames.

    Frame i is read at (i + ½) · kept / window − ½, not before the first or after the last frame of the part
    (what `interpolate(…, align_corners=False)` does).

    Args:
        clips: N clips.
        rows: (B) which of them.
        first: (B) first frame of the part.
        kept: (B) frames of the part.
        window: frames of the result.

    Returns:
        (B, 3, window, V, M), a view of (3, B, window, V, M).
    """
    step = (kept.float() / window)[:, None]
    time = ((torch.arange(window, device=step.device) + 0.5) * step - 0.5).clamp(min=0)  # (B, window)
    last = kept[:, None] - 1
    before = time.long().minimum(last)
    after = (before + 1).minimum(last)
    begin = (clips.start[rows] + first)[:, None]
    weight = (time - before).clamp(max=1)
    # a weighted sum of two frames each, computed while the rows are read
    pairs = torch.stack([begin + before, begin + after], dim=2).flatten(0, 1)
    weights = torch.stack([1 - weight, weight], dim=2).flatten(0, 1)
    planes = clips.joints.flatten(2)
    x = torch.stack([F.embedding_bag(pairs, p, mode="sum", per_sample_weights=weights) for p in planes])
    return x.view(3, len(rows), window, *clips.joints.shape[2:]).transpose(0, 1)


def rotation_matrices(angles: Tensor) -> Tensor:
    """R = Rz · Ry · Rx for angles (B, 3) in radians: (B, 3, 3).

    In the feeder's sign convention, where a positive angle turns clockwise: Rx = [1 0 0; 0 c s; 0 −s c],
    Ry = [c 0 −s; 0 1 0; s 0 c], Rz = [c s 0; −s c 0; 0 0 1].
    """
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).view(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cx, sx, zero, -sx, cx)
    about_y = matrix(cy, zero, -sy, zero, one, zero, sy, zero, cy)
    about_z = matrix(cz, sz, zero, -sz, cz, zero, zero, zero, one)
    return about_z @ about_y @ about_x


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each clip (B, 3, T, V, M) by its own angles (B, 3), the same in all frames and for all persons."""
    return torch.bmm(rotation_matrices(angles), x.flatten(2)).view(x.shape)


# ------------------------------------------------------------------------------- as the NW-UCLA feeder

COPIES = 100
"""Of every frame, in the pool that `random_frames` draws from."""


def whole_clips(clips: Ragged, rows: Tensor, frames: int | None = None) -> Tensor:
    """Clips as they are, (B) rows -> (B, 3, T, V, M); shorter ones repeat their last frame.

    Args:
        clips: N clips.
        rows: (B) which of them.
        frames: T, no fewer than the longest has; None for just as many, for which a GPU is waited for.
    """
    length = clips.length[rows][:, None]
    frames = int(length.max()) if frames is None else frames
    time = torch.arange(frames, device=length.device).minimum(length - 1)
    return clips.joints[:, clips.start[rows][:, None] + time].transpose(0, 1)


def random_frames(length: Tensor, uniform: Tensor) -> Tensor:
    """Frames in ascending order, drawn without replacement from 100 copies of every frame of a clip.

    Floyd's algorithm (Bentley and Floyd, 1987), step by step for all clips at once: of a pool of P, draw number
    j in P − window … P − 1 takes ⌊u · (j + 1)⌋, or j itself where that is taken.

    Args:
        length: (B) frames of the clips.
        uniform: (B, window) float64 in [0, 1).

    Returns:
        (B, window) int64.
    """
    window = uniform.shape[1]
    pool = (COPIES * length).clamp(min=window)
    drawn = torch.full_like(uniform, -1, dtype=torch.int64)
    for step in range(window):
        last = pool - window + step
        pick = (uniform[:, step] * (last + 1)).long()
        taken = (drawn[:, :step] == pick[:, None]).any(1)
        drawn[:, step] = torch.where(taken, last, pick)
    return (drawn % length[:, None]).sort(dim=1).values


def even_frames(length: Tensor, window: int) -> Tensor:
    """Frames from the first to the last at equal distances, rounded down: (B) -> (B, window) int64, window > 1.

    What `numpy.linspace(0, length − 1, window).astype(int)` gives.
    """
    last = length.double()[:, None] - 1
    places = torch.arange(window, device=length.device) * (last / (window - 1))
    places[:, -1] = last[:, 0]  # exactly, without rounding
    return places.long()


def turn_view(x: Tensor, degrees: Tensor) -> Tensor:
    """Turn each clip (B, 3, T, V, M) by its own degrees (B, 2) about x and y.

    A point, a row vector, is multiplied with Ry · Rx of `rotation_matrices`.
    """
    angles = torch.cat([degrees.to(x).deg2rad(), x.new_zeros(len(degrees), 1)], dim=1)
    return torch.bmm(rotation_matrices(angles).transpose(1, 2), x.flatten(2)).view(x.shape)


def fit_box(x: Tensor) -> Tensor:
    """Stretch each clip (B, 3, T, V, M) along each axis so that its joints span −1 … 1.

    Over all frames, joints and people; an axis without extent becomes 0.
    """
    low, high = x.amin((2, 3, 4), keepdim=True), x.amax((2, 3, 4), keepdim=True)
    extent = (high - low).clamp(min=torch.finfo(x.dtype).tiny)
    return (2 * x - low - high) / extent


def take_frames(x: Tensor, frames: Tensor) -> Tensor:
    """Frames (B, window) of each clip (B, 3, T, V, M) -> (B, 3, window, V, M)."""
    index = frames[:, None, :, None, None].expand(-1, x.shape[1], -1, *x.shape[3:])
    return x.gather(2, index)
