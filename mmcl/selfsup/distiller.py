"""Relational distillation of pre-trained encoders into fewer (IKEM's second training)."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmcl.colearn.relational import relational
from mmcl.engine.loop import Losses
from mmcl.precision import exact
from mmcl.selfsup.encoder import Encoder, build_encoder, concatenated, embed
from mmcl.selfsup.files import EncodersDescription
from mmcl.selfsup.memory import Memory
from mmcl.selfsup.names import EARLY, LETTERS, SUFFIXES
from mmcl.selfsup.reference import Released, check_released
from mmcl.settings.selfsup import DistillationSettings


class Distiller(nn.Module, Released):
    """Students learn from all teachers, see `relational`: teachers see a clip's first view, students the second.

    Teachers are the query encoders of a `Pretrainer`: `net.teachers.load_state_dict(pretrainer.queries.state_dict())`.
    They are frozen. A step is that of `Pretrainer`, with `first` for the teachers and `second` for the students;
    `net.advance(net.teach(first))` over some batches fills the memory before the training begins.

    Args:
        teachers: description of the teachers; its order is that of the joint embedding.
        settings: of the distillation. With `teachers_train` teachers use dropout and the batch's statistics, and their
            running statistics drift, as in the released code; with `wrong_memory` the teacher of angular_velocity
            is compared with the memory of bone where there are both, as in the released code with six teachers.

    Attributes:
        teachers: modality → `Encoder`.
        students: name → `Encoder` with an embedding of U·D numbers.
        description: of the students.
        memory: of the teachers' embeddings; random until filled.

    Raises:
        UserError: an encoder that cannot be built.
    """

    compared_with: Tensor | None

    def __init__(self, teachers: EncodersDescription, settings: DistillationSettings):
        super().__init__()
        self.modalities = tuple(teachers.inputs)
        self.settings = settings
        wide = teachers.dim * len(self.modalities)
        own = settings.modalities
        self.description = EncodersDescription(
            inputs={EARLY: own} if settings.early else {name: (name,) for name in own},
            encoder=teachers.encoder.of_student(settings.encoder),
            dim=wide,
            hidden=wide,
            view=teachers.view,
        )
        self.teachers = nn.ModuleDict(
            {name: build_encoder(teachers.encoder, teachers.dim) for name in self.modalities}
        )
        self.teachers.requires_grad_(False)
        self.students = nn.ModuleDict(
            {
                name: build_encoder(self.description.encoder, wide, wide, len(fused))
                for name, fused in self.description.inputs.items()
            }
        )
        self.memory = Memory(len(self.modalities), teachers.dim, settings.memory)
        compared = _released_comparison(self.modalities) if settings.wrong_memory else None
        self.register_buffer("compared_with", compared, persistent=False)
        self.train()

    def train(self, mode: bool = True) -> "Distiller":
        """See `nn.Module`; teachers stay in evaluation mode unless the settings have `teachers_train`."""
        super().train(mode)
        self.teachers.train(mode and self.settings.teachers_train)
        return self

    @torch.no_grad()
    def teach(self, first: Mapping[str, Tensor]) -> Tensor:
        """The teachers' embeddings (U, B, D) of clips, modality → (B, 3, T, V, M)."""
        return embed(self.teachers, first)

    def forward(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Losses:
        """Losses of a batch: `relational_<student>`, and the teachers' embeddings as `carry`.

        Args:
            first: modality → (B, 3, T, V, M), for all teachers.
            second: the other view, for the modalities of the students.
        """
        t = self.teach(first)
        z = torch.stack(
            [
                self.students[name](concatenated(second, fused))[0]
                for name, fused in self.description.inputs.items()
            ]
        )
        settings = self.settings
        with exact(z.device):
            losses = relational(
                z, t, self.memory.keys, settings.temperature, settings.topk, self.compared_with
            )
        names = (f"relational_{name}" for name in self.students)
        return Losses(losses.sum(), dict(zip(names, losses.detach(), strict=True)), carry=t)

    def advance(self, keys: Tensor) -> None:
        """Remember the teachers' embeddings (U, B, D); under torch.distributed those of all processes."""
        self.memory.push(keys)

    def released_encoders(self) -> Iterable[tuple[str, str, Encoder]]:
        """See `Released`."""
        for name, net in self.teachers.items():
            assert isinstance(net, Encoder)
            yield f"encoder_q{SUFFIXES[name]}", f"teachers.{name}", net
        for name, net in self.students.items():
            assert isinstance(net, Encoder)
            fused = self.description.inputs[name]
            check_released(fused)
            mark = f"_{LETTERS[fused[0]]}" if len(fused) == 1 else ""
            yield f"encoder_student{mark}", f"students.{name}", net


def _released_comparison(modalities: Sequence[str]) -> Tensor | None:
    """Whose memory each teacher is compared with in the released code: its own, but angular_velocity with bone's.

    None where one of the two is missing: the released code with three teachers compares each with its own.
    """
    if not {"bone", "angular_velocity"} <= set(modalities):
        return None
    swapped = {"angular_velocity": "bone"}
    return torch.tensor([list(modalities).index(swapped.get(name, name)) for name in modalities])
