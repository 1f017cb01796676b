"""Networks for inference: batch norms in the weights, and no computation for people who are absent."""

import copy

import torch
from torch import Tensor, nn

from mmcl.models.backbone import Backbone
from mmcl.models.layers import fold

CACHE = 3 * 2**17
"""Numbers of a block's activation (1.5 MB) that a CPU works on at a time: three people at full width and 64 frames.

With more, each step of a block would read the result of the one before from memory instead of the cache.
"""


class Inference(nn.Module):
    """A backbone for inference: equal to `net(x)` in evaluation mode, faster.

    Batch norms are folded into the convolutions that they follow. People whose joints are all zero are absent:
    their features are the same in every clip, so they are computed once.

    Args:
        net: a backbone; stays as it is.
    """

    def __init__(self, net: Backbone):
        super().__init__()
        self.net = folded(net)
        self._absent: dict[tuple[torch.Size, torch.dtype, torch.device], Tensor] = {}

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> logits (N, num_classes)."""
        return self.net.classify(self.features(x))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> (N, feature_dim)."""
        there = x.ne(0).any(dim=(1, 2, 3))  # (N, M)
        slot = there.nonzero()[:, 1]
        people = x.permute(0, 4, 1, 2, 3)[there]
        if len(people) == there.numel():
            return self.net.merge(self.people(people, slot).unflatten(0, there.shape))
        merged = self.absent(x).repeat(len(x), 1, 1)
        if len(people):
            merged[there] = self.people(people, slot)
        return self.net.merge(merged)

    def people(self, x: Tensor, slot: Tensor) -> Tensor:
        """People (K, C, T, V) in their slots (K) -> (K, D)."""
        group = len(x)
        if x.device.type == "cpu":
            group = max(1, CACHE // (self.net.feature_dim // 4 * x.shape[2] * x.shape[3]))
        parts = zip(x.split(group), slot.split(group), strict=True)
        return torch.cat([self.net.trunk(self.net.stem_of(*part)) for part in parts])

    def absent(self, x: Tensor) -> Tensor:
        """Features of absent people in clips such as x (N, C, T, V, M): (M, D)."""
        key = (x.shape[1:], x.dtype, x.device)
        if key not in self._absent:
            _, channels, frames, joints, persons = x.shape
            nobody = x.new_zeros(persons, channels, frames, joints)
            self._absent[key] = self.people(nobody, torch.arange(persons, device=x.device))
        return self._absent[key]


def folded(net: Backbone) -> Backbone:
    """A copy of a backbone for evaluation, with its batch norms in its weights."""
    found = fold(copy.deepcopy(net).eval().requires_grad_(False))
    assert isinstance(found, Backbone)
    return found
