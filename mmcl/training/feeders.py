"""From skeletons to the network's input: the field's two feeders, each for whole batches on the device."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from mmcl.errors import UserError
from mmcl.settings.tables import FEEDERS, resolve
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.skeleton.streams import along_time, to_stream, within_frames
from mmcl.skeleton.transforms import (
    centre_crop,
    crop_resize,
    even_frames,
    fit_box,
    random_crop,
    random_frames,
    rotate,
    take_frames,
    turn_view,
    whole_clips,
)


class Feeder(Protocol):
    """Augmented and plain views of clips.

    Args:
        settings: the `train` section.
        stream: what of the skeleton is seen.
        layout: joint layout.
    """

    def __init__(self, settings: TrainSettings, stream: str, layout: str): ...

    def keep(self, clips: Ragged) -> Ragged:
        """What is computed of the training clips once, instead of for each batch.

        Raises:
            UserError: this feeder does not take such clips.
        """

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> Any:
        """The random numbers of an epoch over clips of `length` (N) frames: a named tuple of (P, …) tensors.

        P is N times the setting `repeat`; the first tensor, `order`, holds the rows of clips.
        """

    def training_view(self, kept: Ragged, draw: Any) -> Tensor:
        """The clips of B rows of a draw, (B, 3, window, V, M)."""

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """B clips without augmentation: (B, 3, window, V, M)."""


class ResizeDraw(NamedTuple):
    """The random numbers of `Resize`.

    Attributes:
        order: (P) rows of clips.
        share, position: (P) float64, see `random_crop`.
        angles: (P, 3) radians.
    """

    order: Tensor
    share: Tensor
    position: Tensor
    angles: Tensor


class Resize:
    """CTR-GCN's feeder for NTU, which is MMCL's, too: a part of the clip, resampled to `window` frames and rotated.

    The test view is the centre of the clip.
    """

    def __init__(self, settings: TrainSettings, stream: str, layout: str):
        self.settings = settings
        self.stream = stream
        self.layout = layout

    def keep(self, clips: Ragged) -> Ragged:
        """See `Feeder`. Bones commute with resampling and rotation and are computed once."""
        return clips._replace(joints=within_frames(clips.joints, self.stream, self.layout))

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> ResizeDraw:
        """See `Feeder`: which part of each clip, and its rotation."""
        rows = shuffled(len(length), self.settings, order)
        low, high = self.settings.crop
        share, position = torch.rand(2, len(rows), dtype=torch.float64, generator=augmentation)
        angles = (2 * torch.rand(len(rows), 3, generator=augmentation) - 1) * self.settings.rotation
        return ResizeDraw(rows, low + (high - low) * share, position, angles)

    def training_view(self, kept: Ragged, draw: ResizeDraw) -> Tensor:
        """See `Feeder`."""
        length = kept.length[draw.order]
        crop = random_crop(length, draw.share, draw.position, self.settings.min_crop)
        x = crop_resize(kept, draw.order, *crop, self.settings.window)
        return along_time(rotate(x, draw.angles), self.stream, self.layout)

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """See `Feeder`: centre crop, no rotation."""
        crop = centre_crop(clips.length[rows], self.settings.test_crop)
        x = crop_resize(clips, rows, *crop, self.settings.window)
        return to_stream(x, self.stream, self.layout)


class ViewDraw(NamedTuple):
    """The random numbers of `Ucla`.

    Attributes:
        order: (P) rows of clips.
        degrees: (P, 2) int64 about x and y.
        frames: (P, window) int64, in ascending order.
    """

    order: Tensor
    degrees: Tensor
    frames: Tensor


class Ucla:
    """CTR-GCN's feeder for NW-UCLA: a whole clip, rotated, stretched to −1 … 1, `window` of its frames.

    The released feeder also scales clips at random, which the stretching undoes but for rounding; that is left out.
    """

    MOST_DEGREES = 60

    def __init__(self, settings: TrainSettings, stream: str, layout: str):
        self.settings = settings
        self.stream = stream
        self.layout = layout
        self.longest: int | None = None

    def keep(self, clips: Ragged) -> Ragged:
        """See `Feeder`. Stretching each axis by itself changes bones, so nothing is computed beforehand."""
        if clips.joints.shape[-1] > 1:
            raise UserError("train.feeder ucla shows one person; for clips of several use resize")
        self.longest = int(clips.length.max())
        return clips

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> ViewDraw:
        """See `Feeder`: whole degrees of −60 … 60 about x and y, and frames."""
        rows = shuffled(len(length), self.settings, order)
        most = self.MOST_DEGREES
        degrees = torch.randint(-most, most + 1, (len(rows), 2), generator=augmentation)
        shape = len(rows), self.settings.window
        uniform = torch.rand(shape, dtype=torch.float64, generator=augmentation)
        return ViewDraw(rows, degrees, random_frames(length[rows], uniform))

    def training_view(self, kept: Ragged, draw: ViewDraw) -> Tensor:
        """See `Feeder`."""
        # a GPU computes the longest clip's frames of all rather than wait to learn how many this batch needs
        frames = None if kept.joints.device.type == "cpu" else self.longest
        x = fit_box(turn_view(whole_clips(kept, draw.order, frames), draw.degrees))
        return to_stream(take_frames(x, draw.frames), self.stream, self.layout)

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """See `Feeder`: frames equally far apart, no rotation."""
        frames = even_frames(clips.length[rows], self.settings.window)
        x = take_frames(fit_box(whole_clips(clips, rows)), frames)
        return to_stream(x, self.stream, self.layout)


def shuffled(count: int, settings: TrainSettings, generator: Generator) -> Tensor:
    """Every one of `count` rows `repeat` times, in random order."""
    return torch.randperm(count * settings.repeat, generator=generator) % count


def make_feeder(settings: TrainSettings, stream: str, layout: str) -> Feeder:
    """The feeder that the settings name.

    Args:
        settings: the `train` section.
        stream: what of the skeleton is seen.
        layout: joint layout.
    """
    feeder: Feeder = resolve(FEEDERS, settings.feeder, "feeder")(settings, stream, layout)
    return feeder
