"""Files of pre-trained and distilled encoders: plain state dicts, with what is needed to build and to feed them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from mmcl import checkpoints
from mmcl.errors import UserError, shown
from mmcl.models.backbone import Backbone
from mmcl.selfsup.encoder import Encoder, EncoderForm, build_encoder, concatenated
from mmcl.selfsup.views import Views
from mmcl.settings.base import Count, Items, Name, Section
from mmcl.settings.choices import Stream
from mmcl.settings.explain import validated
from mmcl.settings.selfsup import ViewSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.state_dict import check_finite

SCHEMA = "mmcl.selfsup/1"


class EncodersDescription(Section):
    """Which encoders there are, and what is needed to build and to feed them; their weights stand beside it."""

    inputs: dict[Name, Annotated[Items[Stream], Field(min_length=1)]] = Field(
        min_length=1,
        description="Encoder → modalities that it sees, concatenated. A pre-trained encoder has its modality's name, a "
        "student of several is `early`.",
    )
    encoder: EncoderForm
    dim: Count = Field(description="Width of an embedding.")
    hidden: Count | None = Field(description="Width of the projection heads' hidden layer, see `Encoder`.")
    view: ViewSettings

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities that are seen, each once."""
        return tuple(dict.fromkeys(modality for fused in self.inputs.values() for modality in fused))

    def dump(self) -> dict[str, Any]:
        """See `Section.dump`; keys are not sorted, as the encoders' order counts."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class Encoders:
    """Encoders for the features that they compute of clips; their projection heads are not used.

    Attributes:
        nets: encoder → `Encoder`.
        description: what they see.
    """

    nets: nn.ModuleDict
    description: EncodersDescription

    @property
    def backbones(self) -> dict[str, Backbone]:
        """Encoder → its backbone, whose classifier is a layer of the projection head."""
        backbones: dict[str, Backbone] = {}
        for name, net in self.nets.items():
            assert isinstance(net, Encoder)
            backbones[name] = net.backbone
        return backbones

    @property
    def layout(self) -> str:
        """Joint layout."""
        return self.description.encoder.layout

    @property
    def persons(self) -> int:
        """Persons per clip."""
        return self.description.encoder.persons

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Encoder → modalities that it sees."""
        return self.description.inputs

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities that are seen."""
        return self.description.modalities

    def views(self, clips: Ragged) -> Views:
        """Clips as these encoders see them: `views(clips).plain(rows, encoders.modalities)`."""
        return Views(clips, self.description.view, self.layout)

    def features(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality → (B, 3, T, V, M) to encoder → (B, feature_dim)."""
        return {
            name: net.features(concatenated(views, self.inputs[name])) for name, net in self.backbones.items()
        }


def save_encoders(path: Path, nets: nn.ModuleDict, description: EncodersDescription, **more: Any) -> None:
    """Write encoders.

    Args:
        path: the file.
        nets: name → `Encoder`.
        description: of them.
        more: settings and versions, as plain values.

    Raises:
        UserError: a weight is not finite; the disk is full.
    """
    state = {name: value.detach().to("cpu", copy=True) for name, value in nets.state_dict().items()}
    check_finite(path, state)
    checkpoints.save(path, {"schema": SCHEMA, "state": state, **description.dump(), **more})


def read_encoders(path: str | Path) -> tuple[dict[str, Tensor], EncodersDescription]:
    """The state of the encoders with their projection heads, and the description of them.

    Raises:
        UserError: no such file, damaged, or not one of `save_encoders`; a part is missing or does not fit the others;
            a weight is not finite.
    """
    content = checkpoints.read(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise UserError(f"{path}: holds {shown(schema) if schema else 'no schema'}, not {SCHEMA}")
    stated = {name: content[name] for name in EncodersDescription.model_fields if name in content}
    description = validated(EncodersDescription, stated, path)
    state = checkpoints.tensors(content, path)
    checkpoints.check_state(state, lambda: new_encoders(description), path)
    return state, description


def new_encoders(description: EncodersDescription) -> nn.ModuleDict:
    """Encoders at random weights, drawn in the order of `inputs`: name → `Encoder`.

    After `torch.manual_seed(seed)` they are those that a pre-training with this seed begins from.
    """
    return nn.ModuleDict(
        {
            name: build_encoder(description.encoder, description.dim, description.hidden, len(fused))
            for name, fused in description.inputs.items()
        }
    )


def load_encoders(path: str | Path, trained: bool = True) -> Encoders:
    """Encoders of a `model.pt` of pretrain_streams or distil_student, in evaluation mode on the CPU.

    Args:
        path: the file.
        trained: with its weights; without, of its form but at random weights, see `new_encoders`.

    Raises:
        UserError: no such file, or not one of encoders.
    """
    state, description = read_encoders(path)
    nets = new_encoders(description)
    if trained:
        nets.load_state_dict(state)
    return Encoders(nets.eval(), description)
