"""MMCL's Feature Alignment Module as its equations read, with GRACE's loss as released."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReferenceFAM(nn.Module):
    """Θ, a CNN for pictures (N, 3, H, W), two layers behind it, and the contrastive loss."""

    def __init__(self, cnn: nn.Module, width: int, hidden: int, dim: int, temperature: float = 0.4):
        super().__init__()
        self.cnn = cnn
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.temperature = temperature

    def forward(self, skeleton: Tensor, pictures: Tensor) -> Tensor:
        """Features of skeletons (N, dim), and their pictures -> the loss."""
        return grace(skeleton, self.mlp(self.cnn(pictures)), self.temperature)


def grace(g: Tensor, c: Tensor, temperature: float) -> Tensor:
    """½[ℓ(g, c) + ℓ(c, g)], the other clips of both kinds being negatives."""
    return 0.5 * (_one_way(g, c, temperature) + _one_way(c, g, temperature)).mean()


def _one_way(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    own, across = torch.exp(a @ a.T / temperature), torch.exp(a @ b.T / temperature)
    return -torch.log(across.diag() / (own.sum(1) + across.sum(1) - own.diag()))
