"""What turns a clip into an embedding: a backbone and a projection head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.models import build_backbone, default_graph
from mmcl.models.backbone import Backbone

CHANNELS = 3
"""Of a modality."""

HEAD = ("head_spread", "head_norm")
SETTINGS = ("backbone", "layout", "persons", "graph", "width", "options", "dropout", *HEAD)
"""What an encoder's settings may say, all of it optional; `backbone` is stgcn16 then, `dropout` the probability
wherever the backbone drops anything out (None for its own), `head_spread` see `linear`, `head_norm` see `Encoder`, the
rest as `build_backbone` has it."""
OURS = ("backbone", "options", "dropout", *HEAD)
"""Those of them that `build_backbone` is not told by name."""


class Encoder(nn.Module):
    """h = backbone features, embedding = W₂ · ReLU(W₁ h), made one long.

    The backbone's own classifier is the second layer, as in the released models, so that no weight is idle.

    Args:
        backbone: of `build_backbone`; its classifier is replaced.
        dim: D, numbers of the embedding.
        hidden: units of the head; None for as many as there are features.
        spread: of the head's first weights, see `linear`.
        norm: features pass a batch norm before heads see them. The mean over time, joints and people has much in
            common for all clips (cosines of 0.9 at first weights), which a short training does not get rid of.
    """

    def __init__(
        self,
        backbone: Backbone,
        dim: int,
        hidden: int | None = None,
        spread: float | None = None,
        norm: bool = False,
    ):
        super().__init__()
        hidden = hidden or backbone.feature_dim
        self.backbone = backbone
        self.norm = nn.BatchNorm1d(backbone.feature_dim) if norm else nn.Identity()
        self.hidden = linear(backbone.feature_dim, hidden, spread)
        self.backbone.head = linear(hidden, dim, spread)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Clips (N, C, T, V, M) -> embeddings (N, D) of unit length, and the features (N, feature_dim) for heads."""
        features = self.norm(self.backbone.features(x))
        embedding = self.backbone.classify(F.relu(self.hidden(features)))
        return _unit(embedding), features

    def backbone_state(self) -> dict[str, Tensor]:
        """The backbone's state without its head: what another training of the same backbone can begin from."""
        return {k: v for k, v in self.backbone.state_dict().items() if not k.startswith("head.")}

    def reference_names(self, prefix: str) -> dict[str, list[str]]:
        """Our state entries → those of the released encoder, which are called `<prefix>.…`."""
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


def build_encoder(settings: dict, dim: int, hidden: int | None = None, modalities: int = 1) -> Encoder:
    """Build an encoder.

    Args:
        settings: keys of SETTINGS.
        dim, hidden: see `Encoder`.
        modalities: how many are fused early, channel by channel.

    Raises:
        UserError: no such setting, backbone, layout, graph or option.
    """
    if unknown := [key for key in settings if key not in SETTINGS]:
        raise UserError(f"no setting {unknown[0]!r} of an encoder; there are: {', '.join(SETTINGS)}")
    name = settings.get("backbone", "stgcn16")
    more = {"graph": default_graph(name)} | settings | settings.get("options", {})
    more = {key: value for key, value in more.items() if key not in OURS}
    net = build_backbone(name, num_classes=1, in_channels=CHANNELS * modalities, **more)
    if (dropout := settings.get("dropout")) is not None:
        for layer in net.modules():
            if isinstance(layer, nn.Dropout) and layer.p:
                layer.p = dropout
    return Encoder(net, dim, hidden, settings.get("head_spread"), settings.get("head_norm", False))


class JointHead(nn.Module):
    """Features of one modality -> the embedding that all have together: z = W₂ · ReLU(W₁ h), made one long (IKEM).

    Args:
        features: width of h.
        dim: U·D.
        spread: see `linear`.
    """

    def __init__(self, features: int, dim: int, spread: float | None = None):
        super().__init__()
        self.layers = nn.Sequential(linear(features, dim, spread), nn.ReLU(), linear(dim, dim, spread))

    def forward(self, features: Tensor) -> Tensor:
        """(N, feature_dim) -> (N, U·D)."""
        return _unit(self.layers(features))


def linear(inputs: int, outputs: int, spread: float | None = None) -> nn.Linear:
    """A layer of a head: weights N(0, spread), no bias.

    Unless told otherwise spread = √(2 / inputs) (He et al., ICCV 2015). The released code has 0.02. Embeddings then
    begin near zero, and as gradients of what is made one long grow with 1 / length, the first steps throw them all
    out in one direction, from where it takes a long training to come back.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0.0, (2 / inputs) ** 0.5 if spread is None else spread)
    nn.init.zeros_(layer.bias)
    return layer


def head_names(layers: dict[str, str]) -> dict[str, list[str]]:
    """Weights and biases of layers, ours → theirs."""
    return {f"{a}.{e}": [f"{b}.{e}"] for a, b in layers.items() for e in ("weight", "bias")}


def embed(encoders: nn.ModuleDict, views: dict[str, Tensor]) -> Tensor:
    """Each modality's view (N, C, T, V, M) by its encoder: embeddings (U, N, D)."""
    return torch.stack([net(views[name])[0] for name, net in encoders.items()])


def _unit(embedding: Tensor) -> Tensor:
    """Of length one; similarities need more than the three digits of bfloat16."""
    return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=1)
