"""Montages for a CNN that is trained along, decoded and resized while the training runs.

By processes, as a training step needs the interpreter for itself. Each process keeps up to two batches in shared memory
(/dev/shm), 3 B S² bytes for B pictures of side S: 54 MB for 200 of 299 px. Containers often have 64 MB of it; threads
decode then.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmcl.ahead import ahead
from mmcl.colearn.inputs import Clips, Complete, Input, Masked
from mmcl.errors import UserError
from mmcl.helpers import end_with_parent
from mmcl.models.cnn import open_cnn, shrink
from mmcl.settings.model import CnnSettings
from mmcl.store import Shards

log = logging.getLogger(__name__)

SHARED = "/dev/shm"
"""Where the system keeps shared memory as files."""


class Montages(Input):
    """Pictures (B, S, S, 3) uint8 at the CNN's size, from JPEGs; the CNN turns them into features.

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
        if clips.device.type == "cuda":
            cnn.to(memory_format=torch.channels_last)  # as the pictures are stored
        self._feeder = Feeder(MontageFiles(shards, clips.names), settings.image_size, clips.workers)

    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Masked]:
        """See `Input`."""
        order = draw.order.cpu()
        for pictures, has in self._feeder.batches([order[part].tolist() for part in parts]):
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


def collate(pictures: Sequence[np.ndarray | None], size: int) -> tuple[Tensor, Tensor]:
    """Pictures (B, size, size, 3) uint8, black where there is none, and the mask (B) of those that there are.

    Pictures of another size than most of the batch are as good as absent.
    """
    from mmcl.video import jpeg

    shape = jpeg.usual_shape(picture.shape for picture in pictures if picture is not None)
    has = torch.tensor([picture is not None and picture.shape == shape for picture in pictures])
    stacked = torch.zeros(len(pictures), size, size, 3, dtype=torch.uint8)
    for row, picture in zip(stacked, pictures, strict=True):
        if picture is not None and picture.shape == shape:
            row.copy_(torch.from_numpy(shrink(picture, size)))
    return stacked, has


class Feeder:
    """Decoded and resized pictures of batch after batch, made ready ahead.

    Args:
        files: the pictures.
        size: side of a picture.
        workers: processes that decode, which stay alive from call to call; 0 for none. Where /dev/shm is too small for
            them, they are threads.
    """

    def __init__(self, files: "MontageFiles", size: int, workers: int):
        self._files = files
        self._size = size
        self._workers = max(0, workers)
        self._rows: list[list[int]] = []
        self._loader: DataLoader[Any] | None = None

    def batches(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of row numbers its pictures, see `collate`."""
        if self._loader is None and not self._shared_memory(max(map(len, rows), default=0)):
            decoded = ahead(rows, self._files.__getitem__, self._workers, further=2)
            return (collate(pictures, self._size) for pictures in decoded)
        self._rows[:] = map(list, rows)
        self._loader = self._loader or DataLoader(
            self._files,
            batch_sampler=self._rows,
            num_workers=self._workers,
            worker_init_fn=end_with_parent,
            persistent_workers=self._workers > 0,
            collate_fn=partial(collate, size=self._size),
            pin_memory=torch.cuda.is_available(),
        )
        return iter(self._loader)

    def _shared_memory(self, batch: int) -> bool:
        """Whether there is enough of it for batches of so many pictures."""
        # two batches of each process, and one that is on its way
        needed = (2 * self._workers + 1) * batch * self._size**2 * 3 if self._workers else 0
        try:
            free = shutil.disk_usage(SHARED).free
        except OSError:  # not Linux
            return True
        if needed <= free:
            return True
        log.warning(
            "%s has %d MB free, and %d processes that decode pictures need %d: threads decode, which is slower. "
            "Start a container with --shm-size=%dm, or give the job fewer threads",
            SHARED,
            free >> 20,
            self._workers,
            -(-needed >> 20),
            -(-needed >> 20),
        )
        return False
