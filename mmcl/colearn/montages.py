"""Montages for a CNN that is trained along, decoded while the training runs."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmcl.colearn.inputs import Clips, Complete, Input, Masked
from mmcl.errors import UserError
from mmcl.helpers import end_with_parent
from mmcl.models.cnn import open_cnn
from mmcl.settings.model import CnnSettings
from mmcl.store import Shards


class Montages(Input):
    """Pictures (B, H, W, 3) uint8, from JPEGs; the CNN turns them into features.

    The CNN's random weights are drawn from the run's seed, before those of the backbone.

    Args:
        shards: `mmcl.montages/1`.
        clips: the training clips.
        settings: of the CNN.
    """

    def __init__(self, shards: Shards, clips: Clips, settings: CnnSettings):
        torch.manual_seed(clips.seed)
        self.network = cnn = open_cnn(settings)
        self.shape = (cnn.feature_dim,)
        self.fingerprints = [shards.fingerprint]
        self.without = [name for name in clips.names if name not in shards]
        self._device = clips.device
        self._batches: list[list[int]] = []
        # workers stay alive from epoch to epoch; what they decode is set by `epoch`
        self._loader = DataLoader(
            MontageFiles(shards, clips.names),
            batch_sampler=self._batches,
            num_workers=clips.workers,
            worker_init_fn=end_with_parent,
            persistent_workers=clips.workers > 0,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )

    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Masked]:
        """See `Input`."""
        order = draw.order.cpu()
        self._batches[:] = [order[part].tolist() for part in parts]
        for pictures, has in self._loader:
            kind = Complete if has.all() else Masked
            yield kind(*(part.to(self._device, non_blocking=True) for part in (pictures, has)))


class MontageFiles(Dataset[np.ndarray | None]):
    """Pictures by row number: uint8 (H, W, 3), or None where a clip has none or it is damaged.

    Args:
        shards: `mmcl.montages/1`.
        names: of the clips.
    """

    def __init__(self, shards: Shards, names: Sequence[str]):
        self.shards = shards
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> np.ndarray | None:
        from mmcl.video import jpeg

        name = self.names[row]
        if name not in self.shards:
            return None
        stored = self.shards.row("images", name)
        try:
            return jpeg.decode(bytes(stored))
        except UserError:
            return None


def collate(pictures: list[np.ndarray | None]) -> tuple[Tensor, Tensor]:
    """Pictures (B, H, W, 3) uint8, black where there is none, and the mask (B) of those that there are.

    Pictures of another size than most of the batch are as good as absent.
    """
    from mmcl.video import jpeg

    shape = jpeg.usual_shape(picture for picture in pictures if picture is not None) or (1, 1, 3)
    has = torch.tensor([picture is not None and picture.shape == shape for picture in pictures])
    stacked = torch.zeros(len(pictures), *shape, dtype=torch.uint8)
    for row, picture in zip(stacked, pictures, strict=True):
        if picture is not None and picture.shape == shape:
            row.copy_(torch.from_numpy(picture))
    return stacked, has
