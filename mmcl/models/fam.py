"""Feature Alignment Module: the skeleton's feature is drawn to the picture's (MMCL, section 3.2)."""

from typing import Any

import torch
import torch.distributed as dist
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
        chunk: contrast so many clips with each other, in the order of the batch, and average over the chunks, as
            the replicas of the released training did with 100 clips each; None for the whole batch.
        gather: under torch.distributed, contrast the clips of all ranks; chunks are then cut from the ranks'
            batches one after the other. Without it each rank contrasts its own.
    """

    def __init__(
        self,
        picture_dim: int,
        feature_dim: int,
        hidden: int = 256,
        temperature: float = 0.4,
        negatives: str = "grace",
        chunk: int | None = None,
        gather: bool = False,
    ):
        super().__init__()
        self.align = nn.Sequential(nn.Linear(picture_dim, hidden), nn.ReLU(), nn.Linear(hidden, feature_dim))
        self.temperature = temperature
        self.negatives = negatives
        self.chunk = chunk
        self.gather = gather

    def forward(self, skeleton: Tensor, picture: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            skeleton: (N, feature_dim).
            picture: (N, picture_dim), anything where the mask is false.
            mask: (N) bool, the clips that have a picture. The others take no part, not even as negatives.

        Returns:
            A scalar: the mean over the chunks with at least two pictures, as fewer cannot be contrasted; zero
            if there is none. With `gather` it is the same on all ranks, and the mean of the ranks' gradients is
            the gradient of one process with all clips. All ranks must then call it.
        """
        everywhere = self.gather and _ranks() > 1
        if not everywhere and int(mask.sum()) < 2:
            return skeleton.new_zeros(())
        g, c = skeleton[mask].float(), self.align(picture[mask]).float()
        if everywhere:
            g, c, mask = _Gather.apply(g), _Gather.apply(c), _Gather.apply(mask.byte())
        pictures = [int(part.sum()) for part in mask.split(self.chunk or max(1, len(mask)))]
        losses = [
            contrastive_loss(*part, self.temperature, self.negatives)
            for part in zip(g.split(pictures), c.split(pictures), strict=True)
            if len(part[0]) > 1
        ]
        return torch.stack(losses).mean() if losses else skeleton.new_zeros(())

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model."""
        return {f"align.{k}.{e}": [f"FAM_Aligh.mlp.{k}.{e}"] for k in (0, 2) for e in ("weight", "bias")}


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """Rows (n, …) of every rank, n its own -> the rows of all (Σ n, …), rank after rank.

    Backward needs no exchange: the loss that follows is the same on all ranks, so each already has the gradient
    of its own rows. It is multiplied by the number of ranks, by which the average over ranks divides it again.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        ranks = _ranks()
        counts = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(ranks)]
        dist.all_gather(counts, torch.tensor([len(own)], device=own.device))
        sizes = [int(count) for count in counts]
        # all_gather wants equal shapes
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(ranks)]
        dist.all_gather(parts, padded)
        ctx.start, ctx.count = sum(sizes[: dist.get_rank()]), len(own)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][ctx.start : ctx.start + ctx.count] * _ranks()


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
