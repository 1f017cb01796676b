"""What encoders are shown of clips: their modalities, as they are or as two random views."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcl.selfsup.augment import Draw, mirrored_frames, stretch_bones, transform
from mmcl.selfsup.facing import face_camera
from mmcl.skeleton.ragged import Ragged
from mmcl.skeleton.streams import to_streams
from mmcl.skeleton.transforms import crop_resize, random_crop, take_frames

CHUNK = 1024
"""Clips that are resampled at a time when all of them are."""
FORM = ("window", "convention", "facing", "true_timeline")
"""The settings by which a clip as it is becomes what an encoder sees."""


class Views:
    """Clips, resampled to `window` frames, changed at random or not, and taken apart into modalities.

    Args:
        clips: N clips, on the device.
        settings: `window`; `convention` of the streams: `ikem` also has every person face the camera, see
            `face_camera`, and with `true_timeline` counts motion by recorded frames instead of resampled ones;
            `facing` `frame | clip`; for augmented views `augmentation` {`crop_by`, `padding`, `crop`, …}.
        layout: joint layout.
    """

    def __init__(self, clips: Ragged, settings: dict, layout: str):
        self.clips = clips
        self.settings = settings
        self.layout = layout
        augmentation = settings.get("augmentation", {})
        # a mirrored crop is taken of clips that are resampled already: that is done once
        self._whole = self._all() if augmentation.get("crop_by") == "mirror" else None

    def plain(self, rows: Tensor, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Clips (B) as they are: modality → (B, 3, window, V, M)."""
        length = self.clips.length[rows]
        return self._apart(self._resampled(rows, torch.zeros_like(length), length), modalities, length)

    def augmented(self, rows: Tensor, draw: Draw, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Random views of clips (B): modality → (B, 3, window, V, M).

        Modalities are taken of the joints when these have been changed, so that they belong together.
        """
        how, window, length = self.settings["augmentation"], self.settings["window"], self.clips.length[rows]
        if self._whole is not None:
            frames = mirrored_frames(draw.position, window, window // how["padding"])
            x = take_frames(self._whole[rows], frames)
        else:
            first, length = random_crop(length, draw.share, draw.position, 1)
            x = self._resampled(rows, first, length)
        x = transform(x, draw.matrix)
        if how["bones"]:
            x = stretch_bones(x, draw.bones, self.layout)
        return self._apart(x, modalities, length)

    def _all(self) -> Tensor:
        """All clips, resampled: (N, 3, window, V, M)."""
        shape = 3, self.settings["window"], *self.clips.joints.shape[2:]
        found = self.clips.joints.new_empty(len(self.clips.length), *shape)
        for rows in torch.arange(len(found), device=found.device).split(CHUNK):
            length = self.clips.length[rows]
            found[rows] = self._resampled(rows, torch.zeros_like(length), length)
        return found

    def _resampled(self, rows: Tensor, first: Tensor, kept: Tensor) -> Tensor:
        x = crop_resize(self.clips, rows, first, kept, self.settings["window"])
        if self.settings["convention"] == "ikem":
            return face_camera(x, self.layout, by_clip=self.settings["facing"] == "clip")
        return x.contiguous()

    def _apart(self, x: Tensor, modalities: Sequence[str], length: Tensor) -> dict[str, Tensor]:
        timed = length if self.settings["true_timeline"] else None
        return to_streams(x, modalities, self.layout, self.settings["convention"], timed)
