"""Feature Alignment Module: the skeleton's feature is drawn to the picture's (MMCL, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.errors import UserError

NEGATIVES = ("grace", "eq6", "clip")


class FAM(nn.Module):
    """M_align of equation 3, and the contrastive loss. Only the picture's side has a projection.

    Args:
        picture_dim: width of the CNN's features.
        feature_dim: width of the skeleton's features.
        hidden: hidden units.
        temperature: τ.
        negatives: which pairs a positive pair is held against, see `contrastive_loss`.
    """

    def __init__(
        self,
        picture_dim: int,
        feature_dim: int,
        hidden: int = 256,
        temperature: float = 0.4,
        negatives: str = "grace",
    ):
        super().__init__()
        self.align = nn.Sequential(nn.Linear(picture_dim, hidden), nn.ReLU(), nn.Linear(hidden, feature_dim))
        self.temperature = temperature
        self.negatives = negatives

    def forward(self, skeleton: Tensor, picture: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            skeleton: (N, feature_dim).
            picture: (N, picture_dim), anything where the mask is false.
            mask: (N) bool, the clips that have a picture. The others take no part, not even as negatives.

        Returns:
            A scalar; zero with fewer than two pictures, as there is nothing to contrast.
        """
        if int(mask.sum()) < 2:
            return skeleton.new_zeros(())
        aligned = self.align(picture[mask])
        return contrastive_loss(skeleton[mask].float(), aligned.float(), self.temperature, self.negatives)

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model."""
        return {f"align.{k}.{e}": [f"FAM_Aligh.mlp.{k}.{e}"] for k in (0, 2) for e in ("weight", "bias")}


def contrastive_loss(g: Tensor, c: Tensor, temperature: float = 0.4, negatives: str = "grace") -> Tensor:
    """Equations 4-6: the mean of ½[ℓ(g, c) + ℓ(c, g)] over the clips.

    With s the cosine similarity divided by τ:
        ℓ(u, v)_i = −log( e^s(u_i, v_i) / Σ_negatives and the pair itself )

    Args:
        g: skeleton features (N, D).
        c: picture features (N, D).
        temperature: τ.
        negatives: `grace` (as released): v_k and u_k of the other clips; `eq6` (as printed): v_k for u_i and
            u_k for v_i of the other clips; `clip`: v_k only.

    Raises:
        UserError: no such set of negatives.
    """
    if negatives not in NEGATIVES:
        raise UserError(f"no FAM loss {negatives!r}; there are: {', '.join(NEGATIVES)}")
    g, c = F.normalize(g, dim=1), F.normalize(c, dim=1)
    across = g @ c.T / temperature
    pair = across.diagonal()
    if negatives == "clip":
        rows, columns = across, across.T
    elif negatives == "eq6":
        rows = columns = torch.cat([across, _without_pair(across.T)], dim=1)
    else:
        rows = torch.cat([across, _without_pair(g @ g.T / temperature)], dim=1)
        columns = torch.cat([across.T, _without_pair(c @ c.T / temperature)], dim=1)
    return (0.5 * (rows.logsumexp(1) + columns.logsumexp(1)) - pair).mean()


def _without_pair(similarity: Tensor) -> Tensor:
    """Take the diagonal out of a sum of exponentials."""
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return similarity.masked_fill(own, -torch.inf)
