"""Projection heads: from a backbone's features to embeddings whose similarities a loss compares."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class JointHead(nn.Module):
    """z = W₂ · ReLU(W₁ h) / ‖W₂ · ReLU(W₁ h)‖: predicts the joint embedding of all modalities or teachers (IKEM).

    Args:
        features: width of h.
        dim: U·D, width of z.
        spread: see `linear`.
    """

    def __init__(self, features: int, dim: int, spread: float | None = None):
        super().__init__()
        self.layers = nn.Sequential(linear(features, dim, spread), nn.ReLU(), linear(dim, dim, spread))

    def forward(self, features: Tensor) -> Tensor:
        """(N, feature_dim) -> (N, U·D), L2-normalised."""
        return normalised(self.layers(features))


def linear(inputs: int, outputs: int, spread: float | None = None) -> nn.Linear:
    """A layer of a head, its weights drawn from N(0, spread), its biases 0.

    Args:
        inputs, outputs: widths.
        spread: standard deviation; None for √(2 / inputs) (He et al., ICCV 2015). The released code has 0.02:
            embeddings then begin near zero, and as the gradient through the L2-normalisation grows with 1 / length,
            the first steps move all of them in one direction, which a short training does not undo.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0.0, (2 / inputs) ** 0.5 if spread is None else spread)
    nn.init.zeros_(layer.bias)
    return layer


def normalised(embedding: Tensor) -> Tensor:
    """L2-normalised, in float32 or more: similarities need more than the three digits of bfloat16."""
    return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=1)
