"""What turns a clip into an embedding: a backbone and a projection head."""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.models.heads import linear, normalised
from mmcl.settings.base import Persons, narrowed, replaced
from mmcl.settings.choices import Graph
from mmcl.settings.selfsup import EncoderSettings, StudentEncoderSettings

CHANNELS = 3
"""Of a modality."""


class EncoderForm(EncoderSettings):
    """The settings of an encoder, with what is known only with the clips."""

    graph: Graph = Field(description="Adjacency that it starts from.")
    layout: str = Field(description="Joint layout.")
    persons: Persons = Field(description="Persons per clip.")

    @classmethod
    def of(cls, settings: EncoderSettings, layout: str, persons: int) -> "EncoderForm":
        """The form of encoders with these settings for clips of this layout."""
        return narrowed(cls, settings, layout=layout, persons=persons)

    def of_student(self, own: StudentEncoderSettings) -> "EncoderForm":
        """The form of a student: the teachers', with what is stated on top.

        A stated null is the teachers' value too, except for `dropout`, where it is the backbone's own. Another
        backbone starts from its own first graph unless one is stated.
        """
        stated = {name: getattr(own, name) for name in own.model_fields_set}
        stated = {name: value for name, value in stated.items() if value is not None or name == "dropout"}
        if "backbone" in stated:
            stated.setdefault("graph", None)
        return replaced(self, **stated)


class Encoder(nn.Module):
    """h = backbone features, embedding = W₂ · ReLU(W₁ h), L2-normalised.

    The backbone's own classifier is the second layer, as in the released models, so that no weight is unused.

    Args:
        backbone: of `build_backbone`; its classifier is replaced.
        dim: D, width of the embedding.
        hidden: width of the head's hidden layer; None for as many as there are features.
        spread: of the head's first weights, see `mmcl.models.heads.linear`.
        norm: features pass a batch norm before heads see them. The mean over time, joints and persons is much the
            same for all clips (cosines of 0.9 at first weights), which a short training does not undo.
    """

    def __init__(self, backbone: Backbone, dim: int, hidden: int | None, spread: float | None, norm: bool):
        super().__init__()
        hidden = hidden or backbone.feature_dim
        self.backbone = backbone
        self.norm = nn.BatchNorm1d(backbone.feature_dim) if norm else nn.Identity()
        self.hidden = linear(backbone.feature_dim, hidden, spread)
        self.backbone.head = linear(hidden, dim, spread)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Clips (N, C, T, V, M) -> embeddings (N, D), and the features (N, feature_dim) that heads see."""
        features = self.norm(self.backbone.features(x))
        embedding = self.backbone.classify(F.relu(self.hidden(features)))
        return normalised(embedding), features

    def backbone_state(self) -> dict[str, Tensor]:
        """The backbone's state without its head: what another training of the same backbone can begin from."""
        return {k: v for k, v in self.backbone.state_dict().items() if not k.startswith("head.")}

    def reference_names(self, prefix: str) -> dict[str, list[str]]:
        """Our state entries → those of the released encoder, whose names begin with `<prefix>.`."""
        names = {
            f"backbone.{ours}": [f"{prefix}.{name}" for name in theirs]
            for ours, theirs in self.backbone.reference_names().items()
            if not ours.startswith("head.")
        }
        return names | head_names({"hidden": f"{prefix}.fc.0", "backbone.head": f"{prefix}.fc.2"})

    def reference_constants(self, prefix: str) -> dict[str, Tensor]:
        """See `Backbone.reference_constants`."""
        return {f"{prefix}.{name}": value for name, value in self.backbone.reference_constants().items()}

    def reference_aliases(self, prefix: str) -> dict[str, str]:
        """See `Backbone.reference_aliases`."""
        return {f"{prefix}.{a}": f"{prefix}.{b}" for a, b in self.backbone.reference_aliases().items()}


def build_encoder(form: EncoderForm, dim: int, hidden: int | None = None, modalities: int = 1) -> Encoder:
    """Build an encoder.

    Args:
        form: of the encoder.
        dim, hidden: see `Encoder`.
        modalities: how many it sees, concatenated channel by channel.

    Raises:
        UserError: no such layout, or a graph that it cannot have.
    """
    net = build_backbone(
        form.backbone,
        num_classes=1,
        layout=form.layout,
        persons=form.persons,
        graph=form.graph,
        in_channels=CHANNELS * modalities,
        width=form.width,
    )
    if form.dropout is not None:
        for layer in net.modules():
            if isinstance(layer, nn.Dropout) and layer.p:
                layer.p = form.dropout
    return Encoder(net, dim, hidden, form.head_spread, form.head_norm)


def head_names(layers: dict[str, str]) -> dict[str, list[str]]:
    """Weights and biases of layers, ours → theirs."""
    return {f"{a}.{e}": [f"{b}.{e}"] for a, b in layers.items() for e in ("weight", "bias")}


def embed(encoders: nn.ModuleDict, views: Mapping[str, Tensor]) -> Tensor:
    """The embeddings (U, N, D) of each modality's view (N, C, T, V, M) by its encoder."""
    return torch.stack([net(views[name])[0] for name, net in encoders.items()])


def concatenated(views: Mapping[str, Tensor], modalities: Iterable[str]) -> Tensor:
    """What an encoder of U modalities sees: modality → (N, 3, T, V, M) to (N, 3·U, T, V, M)."""
    return torch.cat([views[modality] for modality in modalities], 1)
