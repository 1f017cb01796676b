"""Self-supervised pre-training: SkeletonCLR with one modality, CrosSCLR and IKEM with several."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.selfsup.encoder import Encoder, JointHead, build_encoder, embed, head_names
from mmcl.selfsup.losses import info_nce, joint_embedding, knowledge_mining
from mmcl.selfsup.memory import Memory
from mmcl.selfsup.names import LETTERS, LOCKED, SUFFIXES
from mmcl.selfsup.reference import Released

CONTRAST, EXCHANGE = 1, 2
"""The stages of the training."""


class Step(NamedTuple):
    """What a forward pass gives.

    Attributes:
        total: scalar, to be descended.
        parts: loss → (U) or (S), one a modality or student, before weighting, without gradient.
        keys: (U, B, D) of this process, for `advance`.
    """

    total: Tensor
    parts: dict[str, Tensor]
    keys: Tensor


class Pretrainer(nn.Module, Released):
    """One encoder a modality, each with a slowly following twin that makes the keys.

    Stage CONTRAST: L = Σ_u InfoNCE(u), and all key encoders follow.
    Stage EXCHANGE: L = Σ_u [ mining_weight · L_KM(u) + joint_weight · L_IKE(u) ], see `losses`; the key encoders of
    `locked` stand still, though their keys are still made and remembered.

    A step is

        step = net(first, second)      # both dicts: modality → (B, 3, T, V, M), two views of the same clips
        step.total.backward()
        optimizer.step()
        net.advance(step.keys)         # key encoders follow, keys are remembered

    `forward` changes nothing but the running statistics of batch norms, so that memory need not be copied for the
    gradient. As released, both twins are in training mode, dropout and batch statistics included. Batches are not
    shuffled between processes: batch norms see the clips of their own, as on the released code's one GPU, while
    memory gets the keys of all. Wrap it in DistributedDataParallel with `broadcast_buffers=False` and again after
    `enter`: the heads of stage EXCHANGE rest in the first.

    Args:
        modalities: streams of `mmcl.skeleton.streams`; the order is that of the joint embedding.
        settings: of the encoders, see `encoder.SETTINGS`.
        dim: D.
        memory: K keys.
        momentum: m, by which keys follow: θ_k ← m θ_k + (1 − m) θ_q.
        temperature: τ.
        topk, context, detach_other: see `losses.knowledge_mining`.
        mining_weight: 0 for IKEM's term alone.
        joint_weight: 0 for CrosSCLR.
        locked: modalities, as far as they are among `modalities`.
        keys_start_apart: draw the key encoders' weights by themselves instead of copying. The released code does
            so by mistake.

    Attributes:
        queries, keys: modality → `Encoder`.
        joint_heads: modality → `JointHead`; empty without IKEM's term.
        memory: `Memory`.
        stage: CONTRAST, until `enter` says otherwise.

    Raises:
        UserError: no modality, one twice, or an encoder that cannot be built.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        settings: dict,
        *,
        dim: int = 128,
        memory: int = 32768,
        momentum: float = 0.999,
        temperature: float = 0.07,
        topk: int = 1,
        context: bool = True,
        detach_other: bool = False,
        mining_weight: float = 1.0,
        joint_weight: float = 1.0,
        locked: Sequence[str] = LOCKED,
        keys_start_apart: bool = False,
    ):
        super().__init__()
        if not modalities or len(set(modalities)) < len(modalities):
            raise UserError(f"modalities {list(modalities)}: at least one is needed, and none twice")
        self.modalities = tuple(modalities)
        self.momentum = momentum
        self.temperature = temperature
        self.topk = topk
        self.context = context
        self.detach_other = detach_other
        self.mining_weight = mining_weight
        self.joint_weight = joint_weight
        self.locked = frozenset(locked)
        self.queries = nn.ModuleDict({name: build_encoder(settings, dim) for name in modalities})
        self.keys = (
            nn.ModuleDict({name: build_encoder(settings, dim) for name in modalities})
            if keys_start_apart
            else deepcopy(self.queries)
        )
        self.keys.requires_grad_(False)
        self.joint_heads = nn.ModuleDict()
        if joint_weight and len(modalities) > 1:
            features = next(iter(self.encoders("queries"))).backbone.feature_dim
            wide, spread = dim * len(modalities), settings.get("head_spread")
            self.joint_heads.update({name: JointHead(features, wide, spread) for name in modalities})
        self.memory = Memory(len(modalities), dim, memory)
        self.enter(CONTRAST)

    def encoders(self, which: str) -> list[Encoder]:
        """Those of `queries` or `keys`, in the modalities' order."""
        return [net for net in getattr(self, which).values() if isinstance(net, Encoder)]

    def enter(self, stage: int) -> None:
        """Go over to a stage.

        Raises:
            UserError: knowledge cannot be exchanged within one modality.
        """
        if stage == EXCHANGE and len(self.modalities) < 2:
            raise UserError(f"{self.modalities[0]} alone has no other modality to exchange knowledge with")
        self.stage = stage
        self.joint_heads.requires_grad_(stage == EXCHANGE)

    def forward(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> Step:
        """Losses of a batch.

        Args:
            first: modality → (B, 3, T, V, M), the views whose embeddings are the queries.
            second: the views whose embeddings are the keys.
        """
        with torch.no_grad():
            k = embed(self.keys, second)
        found = {name: net(first[name]) for name, net in self.queries.items()}
        q = torch.stack([embedding for embedding, _ in found.values()])
        z = [head(found[name][1]) for name, head in self.joint_heads.items() if self.stage == EXCHANGE]
        with torch.autocast(q.device.type, enabled=False):
            weights, parts = self._losses(q, k, torch.stack(z) if z else None)
            total = torch.stack([weights[name] * part.sum() for name, part in parts.items()]).sum()
        return Step(total, {name: part.detach() for name, part in parts.items()}, k)

    def _losses(self, q: Tensor, k: Tensor, z: Tensor | None) -> tuple[dict[str, float], dict[str, Tensor]]:
        memory, temperature = self.memory.keys, self.temperature
        if self.stage == CONTRAST:
            return {"contrast": 1.0}, {"contrast": info_nce(q, k, memory, temperature)}
        weights, parts = {"mining": self.mining_weight, "joint": self.joint_weight}, {}
        if self.mining_weight:
            parts["mining"] = knowledge_mining(
                q, k, memory, temperature, self.topk, self.context, self.detach_other
            )
        if z is not None:
            parts["joint"] = joint_embedding(z, k, memory, temperature)
        return weights, parts

    @torch.no_grad()
    def advance(self, keys: Tensor) -> None:
        """After an optimiser's step: the key encoders follow, and the step's keys are remembered.

        Args:
            keys: `Step.keys`. Under torch.distributed all processes must call it.
        """
        resting = self.locked if self.stage == EXCHANGE else frozenset()
        moving = [name for name in self.modalities if name not in resting]
        followers: list[Tensor] = list(chain.from_iterable(self.keys[name].parameters() for name in moving))
        leaders: list[Tensor] = list(chain.from_iterable(self.queries[name].parameters() for name in moving))
        if followers:
            torch._foreach_lerp_(followers, leaders, 1 - self.momentum)
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
