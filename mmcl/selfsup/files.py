"""Files of pre-trained and distilled encoders: plain state dicts, with what is needed to build and to feed them.

What a file tells beside its state (`about`):
    inputs: encoder → modalities that it sees, put side by side. Pre-trained encoders are called by their modality,
        a student of several by `early`.
    encoder: settings of `build_encoder`, layout and persons among them.
    dim, hidden: of the projection heads, see `Encoder`.
    view: the settings of `mmcl.selfsup.views.FORM`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.models.backbone import Backbone
from mmcl.selfsup.encoder import Encoder, build_encoder
from mmcl.selfsup.views import Views
from mmcl.skeleton.ragged import Ragged

SCHEMA = "mmcl.selfsup/1"
ABOUT = ("inputs", "encoder", "dim", "hidden", "view")


@dataclass(frozen=True)
class Encoders:
    """Encoders for what they make of clips; their projection heads are left aside.

    Attributes:
        nets: encoder → `Encoder`.
        about: see the module.
    """

    nets: nn.ModuleDict
    about: dict[str, Any]

    @property
    def backbones(self) -> dict[str, Backbone]:
        """Encoder → its backbone, of which only `features` means something."""
        backbones: dict[str, Backbone] = {}
        for name, net in self.nets.items():
            assert isinstance(net, Encoder)
            backbones[name] = net.backbone
        return backbones

    @property
    def layout(self) -> str:
        """Joint layout."""
        return str(self.about["encoder"]["layout"])

    @property
    def persons(self) -> int:
        """People per clip."""
        return int(self.about["encoder"]["persons"])

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Encoder → modalities that it sees."""
        return {name: tuple(fused) for name, fused in self.about["inputs"].items()}

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities that are seen."""
        return seen(self.inputs)

    def views(self, clips: Ragged) -> Views:
        """Clips as these encoders see them: `views(clips).plain(rows, encoders.modalities)`."""
        return Views(clips, self.about["view"], self.layout)

    def features(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Modality → (B, 3, T, V, M) to encoder → (B, feature_dim)."""
        return {name: net.features(self.seen_by(name, views)) for name, net in self.backbones.items()}

    def seen_by(self, name: str, views: dict[str, Tensor]) -> Tensor:
        """What an encoder sees of modality → (B, 3, T, V, M): (B, 3·U, T, V, M)."""
        return torch.cat([views[modality] for modality in self.inputs[name]], 1)


def seen(inputs: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The modalities among encoders' inputs, each once."""
    return tuple(dict.fromkeys(modality for fused in inputs.values() for modality in fused))


def save_encoders(path: Path, nets: nn.ModuleDict, about: dict[str, Any], **more: Any) -> None:
    """Write encoders.

    Args:
        path: the file.
        nets: name → `Encoder`.
        about: see the module.
        more: settings and versions.
    """
    state = {name: value.detach().to("cpu", copy=True) for name, value in nets.state_dict().items()}
    checkpoints.save(path, {"schema": SCHEMA, "state": state, **about, **more})


def read_encoders(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of the encoders with their projection heads, and what the file tells of them.

    Raises:
        UserError: no such file, or not one of `save_encoders`.
    """
    content = checkpoints.read(path)
    if content.get("schema") != SCHEMA:
        raise UserError(f"{path}: holds {content.get('schema', 'no schema')}, not {SCHEMA}")
    return content["state"], {key: content[key] for key in ABOUT}


def new_encoders(about: dict[str, Any]) -> nn.ModuleDict:
    """Encoders at random weights, drawn in the order of `inputs`: name → `Encoder`.

    After `torch.manual_seed(seed)` they are those that a pre-training with this seed begins from.
    """
    return nn.ModuleDict(
        {
            name: build_encoder(about["encoder"], about["dim"], about["hidden"], len(fused))
            for name, fused in about["inputs"].items()
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
    state, about = read_encoders(path)
    nets = new_encoders(about)
    if trained:
        nets.load_state_dict(state)
    return Encoders(nets.eval(), about)
