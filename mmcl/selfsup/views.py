"""What encoders see of clips: their modalities, unchanged or in two random views."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcl.selfsup.augment import ViewDraw, mirrored_frames, stretch_bones, transform
from mmcl.selfsup.facing import face_camera
from mmcl.settings.selfsup import AugmentationSettings, ViewSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.skeleton.streams import to_streams
from mmcl.skeleton.transforms import crop_resize, random_crop, take_frames

CHUNK = 1024
"""Clips that are resampled at a time when all of them are."""


class Views:
    """Clips, resampled to the window, changed at random or not, and split into modalities.

    Args:
        clips: N clips, on the device.
        settings: how they are seen. But with convention `ctr` every person faces the camera, see `face_camera`.
        layout: joint layout.
    """

    def __init__(self, clips: Ragged, settings: ViewSettings, layout: str):
        self.clips = clips
        self.settings = settings
        self.layout = layout

    def plain(self, rows: Tensor, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Clips (B) unchanged: modality → (B, 3, window, V, M)."""
        length = self.clips.length[rows]
        return self._split(self._resampled(rows, torch.zeros_like(length), length), modalities, length)

    def _resampled(self, rows: Tensor, first: Tensor, kept: Tensor) -> Tensor:
        x = crop_resize(self.clips, rows, first, kept, self.settings.window)
        if self.settings.convention != "ctr":
            return face_camera(x, self.layout, by_clip=self.settings.facing == "clip")
        return x.contiguous()

    def _split(self, x: Tensor, modalities: Sequence[str], length: Tensor) -> dict[str, Tensor]:
        timed = length if self.settings.true_timeline else None
        return to_streams(x, modalities, self.layout, self.settings.convention, timed)


class AugmentedViews(Views):
    """Views of clips that can be changed at random, too.

    Args:
        clips, settings, layout: see `Views`.
        augmentation: how views of a clip differ.
    """

    def __init__(
        self, clips: Ragged, settings: ViewSettings, layout: str, augmentation: AugmentationSettings
    ):
        super().__init__(clips, settings, layout)
        self.augmentation = augmentation
        # a mirrored crop is cut from resampled clips, so these are computed once
        self._whole = self._all() if augmentation.crop_by == "mirror" else None

    def augmented(self, rows: Tensor, draw: ViewDraw, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Random views of clips (B): modality → (B, 3, window, V, M).

        Modalities are computed from the changed joints, so that they are consistent with each other.
        """
        window, length = self.settings.window, self.clips.length[rows]
        if self._whole is not None:
            frames = mirrored_frames(draw.position, window, window // self.augmentation.padding)
            x = take_frames(self._whole[rows], frames)
        else:
            first, length = random_crop(length, draw.share, draw.position, 1)
            x = self._resampled(rows, first, length)
        x = transform(x, draw.matrix)
        if self.augmentation.bones:
            x = stretch_bones(x, draw.bones, self.layout)
        return self._split(x, modalities, length)

    def _all(self) -> Tensor:
        """All clips, resampled: (N, 3, window, V, M)."""
        shape = 3, self.settings.window, *self.clips.joints.shape[2:]
        found = self.clips.joints.new_empty(len(self.clips.length), *shape)
        for rows in torch.arange(len(found), device=found.device).split(CHUNK):
            length = self.clips.length[rows]
            found[rows] = self._resampled(rows, torch.zeros_like(length), length)
        return found
