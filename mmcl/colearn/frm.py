"""Feature Refinement Module: class scores refined by a vision-language model's answer (MMCL, section 3.3.2)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.colearn.term import Batch, Form, Term
from mmcl.settings.model import FrmSettings

HIDDEN_STATES = ("hidden", "mean", "last")
"""What `frm.input` reads of a network's hidden states, which pass a LayerNorm."""


class Refinement(Term):
    """φ and the learnable matrices M_i of equations 7-9.

    p = softmax(φ(answer)),   S_R = Σ_i p_i M_i S_M.
    All M_i start as the identity, so that refining changes nothing at first.

    Args:
        settings: of FRM. `diagonal` (as released) has one class vector per matrix, `full` has C×C; `detach` stops the
            gradient of the refined loss to the backbone through S_M.
        form: with the shape of `answer`.
    """

    name = "frm"
    Settings: ClassVar = FrmSettings

    def __init__(self, settings: FrmSettings, form: Form):
        super().__init__()
        (width,) = form.shapes["answer"]
        self.norm = nn.LayerNorm(width) if settings.reads in HIDDEN_STATES else nn.Identity()
        self.phi = nn.Sequential(
            nn.Linear(width, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, settings.n)
        )
        diagonal = settings.matrices == "diagonal"
        start = torch.ones(form.num_classes) if diagonal else torch.eye(form.num_classes)
        self.matrices = nn.Parameter(start.repeat(settings.n, *[1] * start.dim()))
        self.width = width
        self.weight = settings.weight
        self.detach = settings.detach

    def refine(self, scores: Tensor, answer: Tensor) -> Tensor:
        """S_M (N, C) and answer features (N, width) -> S_R (N, C), equation 8."""
        dtype = torch.promote_types(scores.dtype, torch.float32)
        gates = self.phi(self.norm(answer.to(dtype))).softmax(1)  # (N, n)
        scores = scores.to(dtype)
        if self.matrices.dim() == 2:
            found: Tensor = (gates @ self.matrices) * scores
            return found
        return torch.einsum("bi,icd,bd->bc", gates, self.matrices, scores)

    def loss(self, features: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """See `Term`; `answer` holds features (N, width)."""
        answer, _ = batch.inputs["answer"]
        return self.refined_loss(logits, answer, batch.weight("answer"), batch.labels)

    def refined_loss(self, scores: Tensor, answer: Tensor, weight: Tensor | None, labels: Tensor) -> Tensor:
        """The mean cross-entropy of S_R over the clips that have an answer (equation 9).

        All clips are computed, so that no size depends on the mask.

        Args:
            scores: S_M, logits (N, C).
            answer: (N, width), any finite numbers for a clip that has none.
            weight: (N), of a clip's loss in the mean, zero for one that has none, see `Batch.weight`; None where all
                have one.
            labels: (N) int64.

        Returns:
            A scalar; zero if no clip has an answer.
        """
        if self.detach:
            scores = scores.detach()
        refined = self.refine(scores, answer)
        if weight is None:
            return F.cross_entropy(refined, labels)
        return (F.cross_entropy(refined, labels, reduction="none") * weight).mean()

    def reference_names(self) -> dict[str, list[str]]:
        """See `Term`; the released module has no LayerNorm, n = 2 and diagonal matrices."""
        names = {f"phi.{k}.{e}": [f"mlp.{k}.{e}"] for k in (0, 2) for e in ("weight", "bias")}
        return names | {"matrices": ["PosMatrix", "NegMatrix"]}
