"""The keys of earlier clips, for all modalities in step (the queues of MoCo, He et al., CVPR 2020)."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.errors import UserError


class Memory(nn.Module):
    """A ring of K keys per modality with one pointer, so that column i is the same clip in all of them.

    It begins with random keys, which the first K clips replace.

    Args:
        modalities: U.
        dim: D, width of an embedding.
        size: K.

    Attributes:
        keys: (U, D, K), columns L2-normalised.
        pointer: (1) int64, where the next key is written.

    Raises:
        UserError: no room for a key.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, modalities: int, dim: int, size: int):
        super().__init__()
        if size < 1:
            raise UserError(f"memory of {size} keys: there must be at least one")
        self.register_buffer("keys", F.normalize(torch.randn(modalities, dim, size), dim=1))
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Write the newest keys over the oldest.

        Under torch.distributed the keys of all processes are written, in the order of their ranks, so that the
        memory is the same everywhere; all processes must call it, with equally many clips.

        Args:
            keys: (U, B, D) of this process.

        Raises:
            UserError: more keys than there is room for.
        """
        keys = _of_all_processes(keys)
        size, count = self.keys.shape[2], keys.shape[1]
        if count > size:
            raise UserError(f"memory of {size} keys: a batch of {count} clips does not fit")
        columns = (self.pointer + torch.arange(count, device=self.pointer.device)) % size
        self.keys.index_copy_(2, columns, keys.to(self.keys).transpose(1, 2))
        self.pointer.add_(count).remainder_(size)


def _of_all_processes(keys: Tensor) -> Tensor:
    """(U, B, D) of each process -> (U, processes · B, D), rank after rank."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return keys
    parts = [
        torch.empty_like(keys, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())
    ]
    dist.all_gather(parts, keys.contiguous())
    return torch.cat(parts, 1)
