"""What every backbone offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A skeleton classifier in two halves, so that FAM can reach in between.

    Attributes:
        feature_dim: width of `features`.
    """

    feature_dim: int
    head: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> (N, feature_dim)."""

    @abstractmethod
    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released model that they hold, joined along the first axis."""

    def classify(self, features: Tensor) -> Tensor:
        """(N, feature_dim) -> logits (N, num_classes)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> logits (N, num_classes)."""
        return self.classify(self.features(x))
