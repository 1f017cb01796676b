"""Relational distillation of pre-trained encoders into fewer (IKEM's second training)."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.selfsup.encoder import Encoder, build_encoder, embed
from mmcl.selfsup.losses import relational
from mmcl.selfsup.memory import Memory
from mmcl.selfsup.names import LETTERS, MANDATORY, SUFFIXES
from mmcl.selfsup.pretrainer import Step
from mmcl.selfsup.reference import Released, check_released

STUDENTS = {name: (name,) for name in MANDATORY}
"""IKEM's: an encoder for each of three modalities."""
EARLY = {"early": MANDATORY}
"""One encoder of three modalities that are fused channel by channel."""


class Distiller(nn.Module, Released):
    """Students learn from the first view of clips by all teachers, themselves seeing the second: see `relational`.

    Teachers are the query encoders of a `Pretrainer`: `net.teachers.load_state_dict(pretrainer.queries.state_dict())`.
    They do not learn. A step is that of `Pretrainer`, with `first` for the teachers and `second` for the students;
    `net.advance(net.teach(first))` over some batches fills the memory before the training begins.

    Args:
        modalities: of the teachers, in the order that they were trained in.
        settings: of the teachers, see `encoder.SETTINGS`.
        students: name → modalities that are put side by side for it, such as STUDENTS or EARLY.
        student_settings: of the students; None for the teachers'.
        dim: D of a teacher.
        memory: K keys.
        temperature: τ.
        topk: see `relational`.
        teachers_train: teachers use dropout and the batch's statistics, and their running statistics drift, as in
            the released code.
        wrong_memory: the teacher of angular_velocity is compared with the memory of bone, as in the released code.

    Attributes:
        teachers: modality → `Encoder`.
        students: name → `Encoder` with an embedding of U·D numbers.
        memory: of the teachers' embeddings; random until filled.

    Raises:
        UserError: no modality or student; the quirk without its modalities; an encoder that cannot be built.
    """

    compared_with: Tensor | None

    def __init__(
        self,
        modalities: Sequence[str],
        settings: dict,
        students: Mapping[str, Sequence[str]] = STUDENTS,
        student_settings: dict | None = None,
        *,
        dim: int = 128,
        memory: int = 32768,
        temperature: float = 0.07,
        topk: int = 1,
        teachers_train: bool = False,
        wrong_memory: bool = False,
    ):
        super().__init__()
        if not modalities or not students or not all(students.values()):
            raise UserError("distillation needs a teacher and a student, and every student a modality")
        self.modalities = tuple(modalities)
        self.inputs = {name: tuple(fused) for name, fused in students.items()}
        self.temperature = temperature
        self.topk = topk
        self.teachers_train = teachers_train
        wide = dim * len(modalities)
        self.teachers = nn.ModuleDict({name: build_encoder(settings, dim) for name in modalities})
        self.teachers.requires_grad_(False)
        own = settings if student_settings is None else student_settings
        self.students = nn.ModuleDict(
            {name: build_encoder(own, wide, wide, len(fused)) for name, fused in students.items()}
        )
        self.memory = Memory(len(modalities), dim, memory)
        compared = _released_comparison(modalities) if wrong_memory else None
        self.register_buffer("compared_with", compared, persistent=False)
        self.train()

    def train(self, mode: bool = True) -> "Distiller":
        """See `nn.Module`; teachers stay in evaluation mode unless they train."""
        super().train(mode)
        self.teachers.train(mode and self.teachers_train)
        return self

    @torch.no_grad()
    def teach(self, first: dict[str, Tensor]) -> Tensor:
        """The teachers' embeddings (U, B, D) of clips, modality → (B, 3, T, V, M)."""
        return embed(self.teachers, first)

    def forward(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> Step:
        """Losses of a batch.

        Args:
            first: modality → (B, 3, T, V, M), for all teachers.
            second: the other view, for the modalities of the students.
        """
        t = self.teach(first)
        z = torch.stack(
            [
                self.students[name](torch.cat([second[modality] for modality in fused], 1))[0]
                for name, fused in self.inputs.items()
            ]
        )
        with torch.autocast(z.device.type, enabled=False):
            losses = relational(z, t, self.memory.keys, self.temperature, self.topk, self.compared_with)
        return Step(losses.sum(), {"relational": losses.detach()}, t)

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
            fused = self.inputs[name]
            check_released(fused)
            mark = f"_{LETTERS[fused[0]]}" if len(fused) == 1 else ""
            yield f"encoder_student{mark}", f"students.{name}", net


def _released_comparison(modalities: Sequence[str]) -> Tensor:
    """Whose memory each teacher is compared with in the released code: its own, but angular_velocity with bone's."""
    if missing := [name for name in ("bone", "angular_velocity") if name not in modalities]:
        raise UserError(f"wrong_memory: among the teachers is no {missing[0]}")
    swapped = {"angular_velocity": "bone"}
    return torch.tensor([list(modalities).index(swapped.get(name, name)) for name in modalities])
