"""The interface of all backbones, and the forward pass that they share."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmcl.models.layers import InputNorm
from mmcl.settings import base


class Backbone(nn.Module, ABC):
    """A skeleton classifier: clip → people → features → logits.

    The parts can be called one by one: FAM needs the features, and inference runs only the people who are present.
    A subclass sets every attribute, and takes its `Options` as keyword arguments.

    Args:
        num_classes: C.
        layout: name of the joint layout.
        persons: persons per clip, M.
        graph: adjacency that it starts from, one of those in its line of `mmcl.settings.tables.BACKBONES`.
        in_channels: channels per joint.
        width: factor on the number of channels.

    Attributes:
        Options: model of what this backbone alone takes.
        feature_dim: width of `features`.
        persons: people per clip, M.
        input_norm: normalisation of the input.
        blocks: the network of one person, channel-major (C, K, V, T) -> (D, K, V, T').
        head: features -> logits.
    """

    Options: ClassVar[type[base.Options]] = base.Options

    feature_dim: int
    persons: int
    input_norm: InputNorm
    blocks: nn.ModuleList
    head: nn.Linear

    @abstractmethod
    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released model that they hold, joined along the first axis."""

    def reference_aliases(self) -> dict[str, str]:
        """Entries that the released model saves a second time: second name → name in `reference_names`."""
        return {}

    def reference_constants(self) -> dict[str, Tensor]:
        """Entries that the released model saves although they are not learned: name → value."""
        return {}

    def stem(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> what the blocks take, channel-major (C', N·M, V, T)."""
        found: Tensor = self.input_norm(x)
        return found

    def stem_of(self, x: Tensor, slot: Tensor) -> Tensor:
        """`stem` for people one by one, in evaluation mode.

        Args:
            x: (K, C, T, V).
            slot: (K) int64, which of a clip's persons each one is.

        Returns:
            (C', K, V, T).
        """
        return self.input_norm.of(x, slot)

    def trunk(self, x: Tensor) -> Tensor:
        """The blocks and their mean over time and joints: (C', K, V, T) -> people (K, D)."""
        for block in self.blocks:
            x = block(x)
        return x.flatten(2).mean(-1, dtype=torch.promote_types(x.dtype, torch.float32)).T

    def merge(self, people: Tensor) -> Tensor:
        """People (N, M, D) -> features (N, feature_dim): their mean."""
        return people.mean(1)

    def features(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> (N, feature_dim)."""
        return self.merge(self.trunk(self.stem(x)).unflatten(0, (-1, self.persons)))

    def classify(self, features: Tensor) -> Tensor:
        """(N, feature_dim) -> logits (N, num_classes)."""
        found: Tensor = self.head(features)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> logits (N, num_classes)."""
        return self.classify(self.features(x))

    def auxiliary_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """What a backbone's own method adds to the classification loss: a scalar.

        A backbone without has this method of the base class, and no term `aux`.

        Args:
            features: (N, D).
            labels: (N) int64.
        """
        raise NotImplementedError
