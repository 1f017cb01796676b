"""IKEM's pre-training step as it is written: all logits in arrays, an encoder after another, memory written row by row.

Entries of the state dict have the released names, so `load_reference` gives our `Pretrainer` the same weights.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy

import torch
import torch.nn.functional as F
from reference_stgcn import ReferenceSTGCN16
from torch import Tensor, nn

from mmcl.selfsup.names import LETTERS, MODALITIES, SUFFIXES

TEMPERATURE = 0.07
MOMENTUM = 0.999
LOCKED = ("joint", "bone", "rotation_axis")


def contrast(positive: Tensor, negatives: Tensor) -> Tensor:
    """The released way, from its description: logits of the pair and of memory, and cross-entropy."""
    logits = torch.cat([positive, negatives], 1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def mined(positive: Tensor, own: Tensor, context: Tensor, nearest: Tensor) -> Tensor:
    """The released way: 1 + 2K logits of each pair of modalities, and as large a mask of the positives."""
    logits = torch.cat([positive, own, context], 1) / TEMPERATURE
    mask = torch.zeros_like(own).scatter_(1, nearest, 1)
    mask = torch.cat([torch.ones_like(positive), mask, mask], 1)
    return -((F.log_softmax(logits, 1) * mask).sum(1) / mask.sum(1)).mean()


def exchange(
    q: Iterable[Tensor], z: Iterable[Tensor], k: Iterable[Tensor], memory: Iterable[Tensor]
) -> Tensor:
    """Knowledge mining and implicit exchange: U embeddings (B, D), joint ones (B, U·D), keys (B, D), memory (D, K)."""
    q, z, k, memory = list(q), list(z), list(k), list(memory)
    positive = [(a * b).sum(1, keepdim=True) for a, b in zip(q, k, strict=True)]
    similar = [a @ keys for a, keys in zip(q, memory, strict=True)]
    nearest = [s.topk(1).indices for s in similar]
    total = torch.zeros((), device=q[0].device)
    for u in range(len(q)):
        for v in range(len(q)):
            if u != v:
                loss = mined(positive[u], similar[u], similar[u] * similar[v], nearest[v])
                total = total + loss / (len(q) - 1)
    key = F.normalize(torch.cat(k, 1), dim=1)
    keys = F.normalize(torch.cat(memory, 0), dim=0)
    return total + sum(contrast((one * key).sum(1, keepdim=True), one @ keys) for one in z)


class Encoder(ReferenceSTGCN16):
    """ST-GCN 16 with two layers instead of its classifier: clips -> embeddings (N, D), and features (N, 256)."""

    def __init__(self, dim: int, persons: int, width: float):
        super().__init__(dim, persons=persons, width=width)
        features = self.fc.in_features
        self.fc = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return F.normalize(self.fc(features), dim=1), features


class ReferenceIKEM(nn.Module):
    """Query and key encoders of six modalities, joint heads and memory, in the second stage of the training."""

    def __init__(self, dim: int = 128, size: int = 32768, persons: int = 2, width: float = 1.0):
        super().__init__()
        wide = dim * len(MODALITIES)
        for name in MODALITIES:
            query = Encoder(dim, persons, width)
            features = query.fc[0].in_features
            head = nn.Sequential(nn.Linear(features, wide), nn.ReLU(), nn.Linear(wide, wide))
            self.add_module(f"encoder_q{SUFFIXES[name]}", query)
            self.add_module(f"encoder_k{SUFFIXES[name]}", deepcopy(query).requires_grad_(False))
            self.add_module(f"mlp2{LETTERS[name]}", head)
            self.register_buffer(f"queue{SUFFIXES[name]}", F.normalize(torch.randn(dim, size), dim=0))
            self.register_buffer(f"queue_ptr{SUFFIXES[name]}", torch.zeros(1, dtype=torch.int64))

    def part(self, what: str, name: str) -> nn.Module:
        """An encoder, queue or pointer of a modality."""
        return getattr(self, what + SUFFIXES[name])

    def forward(
        self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Two views of clips, modality → (B, 3, T, V, M) -> the loss, and the keys (B, D)."""
        with torch.no_grad():
            k = [self.part("encoder_k", name)(second[name])[0] for name in MODALITIES]
        found = [self.part("encoder_q", name)(first[name]) for name in MODALITIES]
        z = [
            F.normalize(getattr(self, f"mlp2{LETTERS[name]}")(features), dim=1)
            for name, (_, features) in zip(MODALITIES, found, strict=True)
        ]
        # a copy, as the queues are written before the backward pass of the next step needs them
        memory = [self.part("queue", name).clone().detach() for name in MODALITIES]
        return exchange([q for q, _ in found], z, k, memory), k

    @torch.no_grad()
    def advance(self, keys: list[Tensor]) -> None:
        """Key encoders that are not locked follow, and the keys are remembered."""
        for name, key in zip(MODALITIES, keys, strict=True):
            if name not in LOCKED:
                pairs = zip(
                    self.part("encoder_k", name).parameters(),
                    self.part("encoder_q", name).parameters(),
                    strict=True,
                )
                for of_key, of_query in pairs:
                    of_key.data = of_key.data * MOMENTUM + of_query.data * (1 - MOMENTUM)
            queue, pointer = self.part("queue", name), self.part("queue_ptr", name)
            start = int(pointer)
            queue[:, start : start + len(key)] = key.T
            pointer[0] = (start + len(key)) % queue.shape[1]
