"""Feature Refinement Module: class scores refined by a vision-language model's answer (MMCL, section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FRM(nn.Module):
    """φ and the learnable matrices M_i of equations 7-9.

    p = softmax(φ(answer)),   S_R = Σ_i p_i M_i S_M.
    All M_i start as the identity, so that refining changes nothing at first.

    Args:
        num_classes: C.
        answer_dim: width of the answer's features.
        n: number of matrices.
        hidden: hidden units of φ.
        matrices: `diagonal` (as released): a class vector per matrix; `full`: C×C.
        normalise: put a LayerNorm in front of φ, for features that are a network's hidden states.
        detach: keep the refined loss from training the backbone through S_M.
    """

    def __init__(
        self,
        num_classes: int,
        answer_dim: int,
        n: int = 2,
        hidden: int = 64,
        matrices: str = "diagonal",
        normalise: bool = False,
        detach: bool = False,
    ):
        super().__init__()
        self.norm = nn.LayerNorm(answer_dim) if normalise else nn.Identity()
        self.phi = nn.Sequential(nn.Linear(answer_dim, hidden), nn.ReLU(), nn.Linear(hidden, n))
        start = torch.ones(num_classes) if matrices == "diagonal" else torch.eye(num_classes)
        self.matrices = nn.Parameter(start.repeat(n, *[1] * start.dim()))
        self.detach = detach

    def refine(self, scores: Tensor, answer: Tensor) -> Tensor:
        """S_M (N, C) and answer features (N, D) -> S_R (N, C)."""
        gates = self.phi(self.norm(answer.float())).softmax(1)  # (N, n)
        scores = scores.float()
        if self.matrices.dim() == 2:
            return (gates @ self.matrices) * scores
        return torch.einsum("bi,icd,bd->bc", gates, self.matrices, scores)

    def forward(self, scores: Tensor, answer: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch: the mean cross-entropy of S_R over the clips that have an answer.

        Args:
            scores: S_M, logits (N, C).
            answer: (N, D), anything where the mask is false.
            labels: (N) int64.
            mask: (N) bool, the clips that have an answer.

        Returns:
            A scalar; zero when no clip has an answer.
        """
        if not mask.any():
            return scores.new_zeros(())
        if self.detach:
            scores = scores.detach()
        return F.cross_entropy(self.refine(scores[mask], answer[mask]), labels[mask])

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model: no LayerNorm, n = 2, diagonal."""
        names = {f"phi.{k}.{e}": [f"mlp.{k}.{e}"] for k in (0, 2) for e in ("weight", "bias")}
        return names | {"matrices": ["PosMatrix", "NegMatrix"]}
