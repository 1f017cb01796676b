"""Self-supervised pre-training: SkeletonCLR with one modality, CrosSCLR and IKEM with several."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from mmcl.engine.loop import Losses
from mmcl.errors import UserError
from mmcl.models.heads import JointHead
from mmcl.precision import exact
from mmcl.selfsup.encoder import Encoder, EncoderForm, build_encoder, embed, head_names
from mmcl.selfsup.files import EncodersDescription
from mmcl.selfsup.losses import info_nce, joint_embedding, knowledge_mining
from mmcl.selfsup.memory import Memory
from mmcl.selfsup.names import LETTERS, SUFFIXES
from mmcl.selfsup.reference import Released
from mmcl.settings.selfsup import PretrainingSettings

CONTRAST, EXCHANGE = 1, 2
"""The stages of the training."""


class Pretrainer(nn.Module, Released):
    """One query encoder per modality, each with a key encoder that follows it slowly (MoCo).

    Stage CONTRAST: L = Σ_u InfoNCE(u), and all key encoders follow: θ_k ← m θ_k + (1 − m) θ_q.
    Stage EXCHANGE: L = Σ_u [ mining_weight · L_KM(u) + joint_weight · L_IKE(u) ], see `losses`; the key encoders of
    `locked` are frozen, though their keys are still computed and remembered.

    A step is

        losses = net(first, second)    # both: modality → (B, 3, T, V, M), two views of the same clips
        losses.total.backward()
        optimizer.step()
        net.advance(losses.carry)      # key encoders follow, keys are remembered

    `forward` changes nothing but the running statistics of batch norms, so that memory need not be copied for the
    gradient. As in the released code, query and key encoders are in training mode, with dropout and batch statistics.
    Clips are not shuffled between processes: batch norms see those of their own process, as on the released code's
    one GPU, while memory gets the keys of all. Wrap it in DistributedDataParallel with `broadcast_buffers=False` and
    again after `enter`: the joint heads are frozen in stage CONTRAST.

    Args:
        settings: of the pre-training; the order of its modalities is that of the joint embedding.
        form: of the encoders.

    Attributes:
        queries, keys: modality → `Encoder`.
        joint_heads: modality → `JointHead`; empty without IKEM's term.
        description: of the encoders.
        memory: `Memory`.
        stage: CONTRAST, until `enter` changes it.

    Raises:
        UserError: an encoder that cannot be built.
    """

    def __init__(self, settings: PretrainingSettings, form: EncoderForm):
        super().__init__()
        self.settings = settings
        self.modalities = settings.modalities
        self.description = EncodersDescription(
            inputs={name: (name,) for name in self.modalities},
            encoder=form,
            dim=settings.dim,
            hidden=None,
            view=settings.view,
        )
        self.queries = nn.ModuleDict({name: build_encoder(form, settings.dim) for name in self.modalities})
        self.keys = (
            nn.ModuleDict({name: build_encoder(form, settings.dim) for name in self.modalities})
            if settings.keys_start_apart
            else deepcopy(self.queries)
        )
        self.keys.requires_grad_(False)
        self.joint_heads = nn.ModuleDict()
        if settings.joint_weight and len(self.modalities) > 1:
            features = next(iter(self.encoders("queries"))).backbone.feature_dim
            wide = settings.dim * len(self.modalities)
            self.joint_heads.update(
                {name: JointHead(features, wide, form.head_spread) for name in self.modalities}
            )
        self.memory = Memory(len(self.modalities), settings.dim, settings.memory)
        self.enter(CONTRAST)

    def encoders(self, which: str) -> list[Encoder]:
        """Those of `queries` or `keys`, in the modalities' order."""
        return [net for net in getattr(self, which).values() if isinstance(net, Encoder)]

    def enter(self, stage: int) -> None:
        """Change to a stage.

        Raises:
            UserError: knowledge cannot be exchanged within one modality.
        """
        if stage == EXCHANGE and len(self.modalities) < 2:
            raise UserError(f"{self.modalities[0]} alone has no other modality to exchange knowledge with")
        self.stage = stage
        self.joint_heads.requires_grad_(stage == EXCHANGE)

    def forward(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Losses:
        """Losses of a batch: `contrast_<modality>`, or `mining_…` and `joint_…`; and the keys (U, B, D) as `carry`.

        Args:
            first: modality → (B, 3, T, V, M), the views whose embeddings are the queries.
            second: the views whose embeddings are the keys.
        """
        with torch.no_grad():
            k = embed(self.keys, second)
        found = {name: net(first[name]) for name, net in self.queries.items()}
        q = torch.stack([embedding for embedding, _ in found.values()])
        z = [head(found[name][1]) for name, head in self.joint_heads.items() if self.stage == EXCHANGE]
        with exact(q.device):
            weighted = self._losses(q, k, torch.stack(z) if z else None)
            total = torch.stack([weight * losses.sum() for weight, losses in weighted.values()]).sum()
        terms = {
            f"{term}_{modality}": loss
            for term, (_, losses) in weighted.items()
            for modality, loss in zip(self.modalities, losses.detach(), strict=True)
        }
        return Losses(total, terms, carry=k)

    def _losses(self, q: Tensor, k: Tensor, z: Tensor | None) -> dict[str, tuple[float, Tensor]]:
        """Each term of the stage: its weight, and its losses (U)."""
        settings, memory = self.settings, self.memory.keys
        if self.stage == CONTRAST:
            return {"contrast": (1.0, info_nce(q, k, memory, settings.temperature))}
        terms = {}
        if settings.mining_weight:
            mined = knowledge_mining(
                *(q, k, memory, settings.temperature), settings.topk, settings.context, settings.detach_other
            )
            terms["mining"] = (settings.mining_weight, mined)
        if z is not None:
            exchanged = joint_embedding(z, k, memory, settings.temperature)
            terms["joint"] = (settings.joint_weight, exchanged)
        return terms

    @torch.no_grad()
    def advance(self, keys: Tensor) -> None:
        """After an optimizer's step: the key encoders follow, and the step's keys are remembered.

        Args:
            keys: (U, B, D), `carry` of the losses. Under torch.distributed all processes must call it.
        """
        frozen = self.settings.locked if self.stage == EXCHANGE else ()
        moving = [name for name in self.modalities if name not in frozen]
        of_keys: list[Tensor] = list(chain.from_iterable(self.keys[name].parameters() for name in moving))
        of_queries: list[Tensor] = list(
            chain.from_iterable(self.queries[name].parameters() for name in moving)
        )
        if of_keys:
            torch._foreach_lerp_(of_keys, of_queries, 1 - self.settings.key_momentum)
        self.memory.push(keys)

    def reference_names(self) -> dict[str, list[str]]:
        """See `Released`; the joint heads as well."""
        names = super().reference_names()
        for name in self.joint_heads:
            names |= head_names(
                {f"joint_heads.{name}.layers.{k}": f"mlp2{LETTERS[name]}.{k}" for k in (0, 2)}
            )
        return names

    def released_encoders(self) -> Iterable[tuple[str, str, Encoder]]:
        """See `Released`."""
        return [
            (f"encoder_{which[0]}{SUFFIXES[name]}", f"{which}.{name}", net)
            for which in ("queries", "keys")
            for name, net in zip(self.modalities, self.encoders(which), strict=True)
        ]
