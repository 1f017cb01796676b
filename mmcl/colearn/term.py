"""What every co-learning term has: a name, settings, inputs, and a loss."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from mmcl.colearn.inputs import Complete
from mmcl.settings.base import Section


def weights(mask: Tensor) -> Tensor:
    """B / (clips that have an input) for each of them, zero for the others: of a mask (B), (B) float32."""
    return mask * (len(mask) / mask.sum().clamp(min=1))


@dataclass
class Batch:
    """Training clips.

    Attributes:
        x: skeletons (N, 3, T, V, M).
        labels: (N) int64.
        inputs: name → what the terms need of these clips, see `mmcl.colearn.inputs`.
        weights: name → `weights` of an input's mask, where this is a part of a larger batch.
    """

    x: Tensor
    labels: Tensor
    inputs: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    def weight(self, name: str) -> Tensor | None:
        """What the mean over the clips that have an input multiplies each clip's loss with, (N); None for one.

        The mean of weight · loss over this batch is the mean of the loss over those clips, zero if there is none. Where
        a batch is processed in parts, the mean over the parts is that of the whole batch.
        """
        values = self.inputs[name]
        if isinstance(values, Complete):
            return None
        return self.weights[name] if name in self.weights else weights(values.mask)


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
