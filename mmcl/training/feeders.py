"""From recordings to what a network is shown: the field's two ways, each for whole batches on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from mmcl.errors import UserError
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

    Made of the `train` section, a stream and a joint layout.
    """

    def __init__(self, settings: dict, stream: str, layout: str): ...

    def keep(self, clips: Ragged) -> Ragged:
        """What of the training clips is kept, so that not every batch makes it anew.

        Raises:
            UserError: this feeder cannot show such clips.
        """

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> Any:
        """What is random in an epoch over clips of `length` (N) frames: a named tuple of (P, …) tensors.

        P is N times the setting `repeat`; the first tensor, `order`, is the rows of clips.
        """

    def training_view(self, kept: Ragged, draw: Any) -> Tensor:
        """Clips for B rows of what was drawn, (B, 3, window, V, M)."""

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """Clips (B) as a trained network is shown them, nothing drawn: (B, 3, window, V, M)."""


class Draw(NamedTuple):
    """What `Resize` draws.

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
    """CTR-GCN's feeder for NTU, which is MMCL's: a part of the clip, resampled to `window` frames and turned.

    The test shows the middle of the clip.
    """

    def __init__(self, settings: dict, stream: str, layout: str):
        self.settings = settings
        self.stream = stream
        self.layout = layout

    def keep(self, clips: Ragged) -> Ragged:
        """See `Feeder`. Bones commute with resampling and rotation and are taken once."""
        return clips._replace(joints=within_frames(clips.joints, self.stream, self.layout))

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> Draw:
        """See `Feeder`: where each part lies and how it is turned."""
        rows = shuffled(len(length), self.settings, order)
        low, high = self.settings["crop"]
        share, position = torch.rand(2, len(rows), dtype=torch.float64, generator=augmentation)
        angles = (2 * torch.rand(len(rows), 3, generator=augmentation) - 1) * self.settings["rotation"]
        return Draw(rows, low + (high - low) * share, position, angles)

    def training_view(self, kept: Ragged, draw: Draw) -> Tensor:
        """See `Feeder`."""
        length = kept.length[draw.order]
        crop = random_crop(length, draw.share, draw.position, self.settings["min_crop"])
        x = crop_resize(kept, draw.order, *crop, self.settings["window"])
        return along_time(rotate(x, draw.angles), self.stream, self.layout)

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """See `Feeder`: centre crop, no rotation."""
        crop = centre_crop(clips.length[rows], self.settings["test_crop"])
        x = crop_resize(clips, rows, *crop, self.settings["window"])
        return to_stream(x, self.stream, self.layout)


class ViewDraw(NamedTuple):
    """What `Ucla` draws.

    Attributes:
        order: (P) rows of clips.
        degrees: (P, 2) int64 about x and y.
        frames: (P, window) int64, in ascending order.
    """

    order: Tensor
    degrees: Tensor
    frames: Tensor


class Ucla:
    """CTR-GCN's feeder for NW-UCLA: a whole clip seen from elsewhere, stretched to −1 … 1, `window` of its frames.

    It also scales clips at random, which the stretching undoes to the last bit but rounding; that is left out.
    """

    MOST_DEGREES = 60

    def __init__(self, settings: dict, stream: str, layout: str):
        self.settings = settings
        self.stream = stream
        self.layout = layout

    def keep(self, clips: Ragged) -> Ragged:
        """See `Feeder`. Stretching each axis by itself changes bones, so nothing is taken beforehand."""
        if clips.joints.shape[-1] > 1:
            raise UserError("train.feeder ucla shows one person; for clips of several use resize")
        return clips

    def draw(self, length: Tensor, order: Generator, augmentation: Generator) -> ViewDraw:
        """See `Feeder`: whole degrees of −60 … 60 about x and y, and frames."""
        rows = shuffled(len(length), self.settings, order)
        most = self.MOST_DEGREES
        degrees = torch.randint(-most, most + 1, (len(rows), 2), generator=augmentation)
        shape = len(rows), self.settings["window"]
        uniform = torch.rand(shape, dtype=torch.float64, generator=augmentation)
        return ViewDraw(rows, degrees, random_frames(length[rows], uniform))

    def training_view(self, kept: Ragged, draw: ViewDraw) -> Tensor:
        """See `Feeder`."""
        x = fit_box(turn_view(whole_clips(kept, draw.order), draw.degrees))
        return to_stream(take_frames(x, draw.frames), self.stream, self.layout)

    def test_view(self, clips: Ragged, rows: Tensor) -> Tensor:
        """See `Feeder`: frames equally far apart, no rotation."""
        frames = even_frames(clips.length[rows], self.settings["window"])
        x = take_frames(fit_box(whole_clips(clips, rows)), frames)
        return to_stream(x, self.stream, self.layout)


FEEDERS: dict[str, Callable[[dict, str, str], Feeder]] = {"resize": Resize, "ucla": Ucla}
"""Value of `train.feeder` → feeder."""


def shuffled(count: int, settings: dict, generator: Generator) -> Tensor:
    """Every one of `count` rows `repeat` times, in random order."""
    return torch.randperm(count * settings["repeat"], generator=generator) % count


def make_feeder(settings: dict, stream: str, layout: str) -> Feeder:
    """The feeder that the `train` section names; models trained before there was a choice have `resize`."""
    return FEEDERS[settings.get("feeder", "resize")](settings, stream, layout)
