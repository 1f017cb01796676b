"""Classification by the nearest training clips: needs no training of its own."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 1024
"""Test clips that are compared with all training clips at a time."""


def nearest_classes(train: Tensor, labels: Tensor, test: Tensor, counts: Sequence[int]) -> dict[int, Tensor]:
    """The class of the majority of the k nearest training clips, by cosine similarity.

    Of classes with equally many, the one whose similarities have the larger sum.

    Args:
        train: (N, D).
        labels: (N) int64.
        test: (P, D).
        counts: values of k; more than N are N.

    Returns:
        k → (P) int64.
    """
    train, test = F.normalize(train, dim=1), F.normalize(test, dim=1)
    classes, most = int(labels.max()) + 1, min(max(counts), len(train))
    found: dict[int, list[Tensor]] = {k: [] for k in counts}
    for part in test.split(CHUNK):
        similar, rows = (part @ train.T).topk(most)
        near = F.one_hot(labels[rows], classes).to(similar)  # (B, most, C)
        for k in counts:
            votes = near[:, :k].sum(1)
            # the sum of k cosines lies within ±k: it changes no vote, but orders equal ones
            likeness = (near[:, :k] * similar[:, :k, None]).sum(1) / (2 * k + 1)
            found[k].append((votes + likeness).argmax(1))
    return {k: torch.cat(parts) for k, parts in found.items()}


def joined_features(features: Tensor) -> Tensor:
    """Features (U, N, D) of several encoders, each L2-normalised, concatenated: (N, U·D)."""
    return F.normalize(features, dim=2).transpose(0, 1).flatten(1)
