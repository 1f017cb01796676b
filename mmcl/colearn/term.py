"""What every co-learning term has: a name, settings, inputs, and a loss."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from mmcl.settings.base import Section


@dataclass
class Batch:
    """Training clips.

    Attributes:
        x: skeletons (N, 3, T, V, M).
        labels: (N) int64.
        inputs: name → what the terms need of these clips, see `mmcl.colearn.inputs`.
    """

    x: Tensor
    labels: Tensor
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """The sizes that a term is built for.

    Attributes:
        num_classes: C.
        feature_dim: D, width of the backbone's features.
        shapes: input → shape of one clip's value, such as (1000,) for a picture's features.
        networks: input → a network that is trained along and gives that value, such as a CNN for pictures.
    """

    num_classes: int
    feature_dim: int
    shapes: Mapping[str, tuple[int, ...]]
    networks: Mapping[str, nn.Module] = field(default_factory=dict)


class TermLoss(NamedTuple):
    """The loss of a term for a batch.

    Attributes:
        weighted: scalar that is added to the total loss.
        parts: column of the history → scalar, before its weight.
    """

    weighted: Tensor
    parts: dict[str, Tensor]


class Term(nn.Module, ABC):
    """Something that is learned beside the classification, and that inference does without.

    A subclass is built from its settings and a `Form`: `Term(settings, form)`. It implements `loss`, or `forward` if it
    has several parts. Where no clip of a batch has what it needs, its loss is zero; its names are always the same.

    Attributes:
        name: in the configuration, in the network's state and in the history.
        Settings: model of its settings, which names its inputs, too; see `mmcl.settings.model.TermSettings`.
        weight: of its loss in the total.
        saved: whether its parameters are part of the trained model.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[Section]]
    saved: ClassVar[bool] = True
    weight: float = 1.0

    def loss(self, features: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """The loss before its weight.

        Args:
            features: of the backbone (N, D).
            logits: (N, C).
            batch: the clips, with the inputs that the settings name.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    def forward(self, features: Tensor, logits: Tensor, batch: Batch) -> TermLoss:
        """The weighted loss of a batch with its named parts; arguments as of `loss`."""
        loss = self.loss(features, logits, batch)
        return TermLoss(self.weight * loss, {self.name: loss})

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model; none for what was not released."""
        return {}
