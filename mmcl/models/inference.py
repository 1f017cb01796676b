"""Networks for inference: batch norms in the weights, and no computation for people who are absent."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from mmcl.models.backbone import Backbone
from mmcl.models.layers import fold
from mmcl.models.replay import Replayed

CACHE = 3 * 2**17
"""Numbers of a block's activation (1.5 MB) that a CPU works on at a time: three people at full width and 64 frames.

With more, each step of a block would read the result of the one before from memory instead of the cache.
"""


class Inference(nn.Module):
    """A backbone for inference: equal to `net(x)` in evaluation mode, faster.

    Batch norms are folded into the convolutions that they follow. People whose joints are all zero are absent:
    their features are the same in every clip, so they are computed once. On a GPU the host waits once for each batch,
    for the number of people who are there; what follows is a CUDA graph, see `Replayed`, of which there are few: the
    number is rounded up (`padded`) and absent people are computed with the others.

    Args:
        net: a backbone; stays as it is.
        dtype: of weights and activations of its blocks, which are cast once. Input and its normalisation, the mean
            over time and joints, and the classifier stay in the network's own. None for that everywhere; bfloat16
            moves logits by about a hundredth of the largest, and takes half the memory and less than half the time on
            a GPU.
    """

    def __init__(self, net: Backbone, dtype: torch.dtype | None = None):
        super().__init__()
        self.net = folded(net)
        self.dtype = dtype
        if dtype is not None:
            self.net.blocks.to(dtype)
        self._absent: dict[tuple[torch.Size, torch.dtype, torch.device], Tensor] = {}
        self._present = Replayed(self.chosen)

    def _apply(self, *arguments: Any, **options: Any) -> "Inference":
        """See `nn.Module`: what was computed with weights that move is given up."""
        self._absent.clear()
        self._present.forget()
        super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> logits (N, num_classes)."""
        return self.net.classify(self.features(x))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> (N, feature_dim)."""
        clips, persons = len(x), x.shape[-1]
        there = x.ne(0).any(dim=(1, 2, 3)).flatten()  # (N·M)
        present = int(there.sum())
        if present == len(there):
            everybody = torch.arange(present, device=x.device)
            return self.net.merge(self._present(x, everybody).unflatten(0, (clips, persons)))
        merged = self.absent(x).repeat(clips, 1)
        if present:
            count = padded(present, len(there), x.device)
            # the present first; those behind them are as the absent in `merged`
            chosen = there.int().argsort(descending=True, stable=True)[:count]
            merged.index_copy_(0, chosen, self._present(x, chosen))
        return self.net.merge(merged.unflatten(0, (clips, persons)))

    def chosen(self, x: Tensor, people: Tensor) -> Tensor:
        """Some people (K), as numbers in N·M, of clips (N, C, T, V, M): their features (K, D)."""
        persons = x.shape[-1]
        slot = people % persons
        return self.people(x.permute(0, 4, 1, 2, 3)[people // persons, slot], slot)

    def people(self, x: Tensor, slot: Tensor) -> Tensor:
        """People (K, C, T, V) in their slots (K) -> (K, D)."""
        group = len(x)
        if x.device.type == "cpu":
            group = max(1, CACHE // (self.net.feature_dim // 4 * x.shape[2] * x.shape[3]))
        parts = zip(x.split(group), slot.split(group), strict=True)
        stems = (self.net.stem_of(*part) for part in parts)
        return torch.cat([self.net.trunk(stem.to(self.dtype or stem.dtype)) for stem in stems])

    def absent(self, x: Tensor) -> Tensor:
        """Features of absent people in clips such as x (N, C, T, V, M): (M, D)."""
        key = (x.shape[1:], x.dtype, x.device)
        if key not in self._absent:
            _, channels, frames, joints, persons = x.shape
            nobody = x.new_zeros(persons, channels, frames, joints)
            self._absent[key] = self.people(nobody, torch.arange(persons, device=x.device))
        return self._absent[key]


def padded(count: int, most: int, device: torch.device) -> int:
    """How many of `most` people are computed where `count` are there.

    On a GPU the next number that is 4, 5, 6 or 7 times a power of two, so that few numbers occur.
    """
    if device.type == "cpu":
        return count
    step = max(1, (1 << count.bit_length()) // 8)
    return min(most, -(-count // step) * step)


def folded(net: Backbone) -> Backbone:
    """A copy of a backbone for evaluation, with its batch norms in its weights."""
    found = fold(copy.deepcopy(net).eval().requires_grad_(False))
    assert isinstance(found, Backbone)
    return found
