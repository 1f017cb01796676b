"""Feature Alignment Module: the skeleton's features are aligned with the picture's (MMCL, section 3.3.1)."""

from typing import Any, ClassVar, get_args

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.colearn.inputs import Complete
from mmcl.colearn.term import Batch, Form, Term
from mmcl.errors import UserError
from mmcl.models.cnn import CNN
from mmcl.settings.model import FamSettings

NEGATIVES = get_args(FamSettings.model_fields["loss"].annotation)


class Alignment(Term):
    """M_align of equation 3, and the contrastive loss. Only the picture has a projection.

    Args:
        settings: of FAM. With `chunk`, clips are contrasted in the order of the batch and the loss is the mean over
            the chunks, as in the replicas of the released training, which had 100 clips each. With `gather`, the
            clips of all processes are contrasted, and chunks are cut from their batches one after the other.
        form: with the shape of `picture`, and its network if that is trained along.
    """

    name = "fam"
    Settings: ClassVar = FamSettings

    def __init__(self, settings: FamSettings, form: Form):
        super().__init__()
        (self.width,) = form.shapes["picture"]
        self.align = nn.Sequential(
            nn.Linear(self.width, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, form.feature_dim)
        )
        self.weight = settings.weight
        self.temperature = settings.temperature
        self.negatives = settings.loss
        self.chunk = settings.chunk
        self.gather = settings.gather
        self.cnn = form.networks.get("picture")

    def loss(self, features: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """See `Term`; `picture` holds features (N, width), or pictures (N, H, W, 3) uint8 for the CNN."""
        pictures = batch.inputs["picture"]
        mask = None if isinstance(pictures, Complete) else pictures.mask
        return self.contrast(features, *self._picture_features(pictures.values, mask))

    def contrast(self, skeleton: Tensor, picture: Tensor, mask: Tensor | None) -> Tensor:
        """The loss of equations 4-6. All clips are computed, so that no size depends on the mask.

        Args:
            skeleton: (N, feature_dim).
            picture: (N, width), anything where the mask is false.
            mask: (N) bool, the clips that have a picture; None where all have one. The others take no part, not even
                as negatives.

        Returns:
            A scalar: the mean over the chunks with at least two pictures, as fewer cannot be contrasted; zero
            if there is none. With `gather` it is equal in all processes, and the mean of their gradients is the
            gradient of one process with all clips. All processes must then call it.
        """
        dtype = torch.promote_types(skeleton.dtype, torch.float32)
        if mask is not None:
            # zero, whatever stands there, in both directions: what takes no part has no gradient either
            skeleton, picture = (part.where(mask[:, None], 0) for part in (skeleton, picture))
        g, c = skeleton.to(dtype), self.align(picture).to(dtype)
        if self.gather and _ranks() > 1:
            there = torch.ones(len(g), dtype=torch.uint8, device=g.device) if mask is None else mask.byte()
            g, c, mask = _gathered(g), _gathered(c), _gathered(there).bool()
        size = self.chunk or max(1, len(g))
        masks = [None] * len(g.split(size)) if mask is None else mask.split(size)
        losses, counted = [], []
        for own, other, here in zip(g.split(size), c.split(size), masks, strict=True):
            if len(own) > 1:
                losses.append(contrastive_loss(own, other, self.temperature, self.negatives, here))
                counted.append(None if here is None else here.sum() > 1)
        if not losses:
            return g.new_zeros(())
        if mask is None:
            return torch.stack(losses).mean()
        counts = torch.stack([one for one in counted if one is not None])
        return torch.stack(losses).where(counts, 0).sum() / counts.sum().clamp(min=1)

    def _picture_features(self, picture: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """CNN features (N, width), zeros where there is no picture, so that none enters its batch norms; and mask.

        With a mask how many pictures the CNN sees depends on it, and the GPU is waited for.
        """
        if self.cnn is None:
            return picture, mask
        if mask is None and len(picture) > 1:
            return self.cnn(picture), None
        if mask is None:
            mask = torch.ones(len(picture), dtype=torch.bool, device=picture.device)
        # one picture cannot be normalised over a batch, and a contrast needs two
        if int(mask.sum()) < 2:
            return torch.zeros(len(mask), self.width, device=mask.device), torch.zeros_like(mask)
        found = self.cnn(picture[mask])
        return found.new_zeros(len(mask), found.shape[1]).index_put((mask,), found), mask

    def reference_names(self) -> dict[str, list[str]]:
        """See `Term`; a CNN other than the released one has no names."""
        names = {f"align.{k}.{e}": [f"FAM_Aligh.mlp.{k}.{e}"] for k in (0, 2) for e in ("weight", "bias")}
        if isinstance(self.cnn, CNN):
            names |= {f"cnn.{ours}": theirs for ours, theirs in self.cnn.reference_names().items()}
        return names


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _gathered(own: Tensor) -> Tensor:
    """See `_Gather`."""
    rows: Tensor = _Gather.apply(own)
    return rows


class _Gather(torch.autograd.Function):
    """Rows (n, …) of this process, n for each its own -> the rows of all (Σ n, …), in the order of their ranks.

    The backward pass needs no exchange: the loss is equal in all processes, so each has the gradient of its own rows.
    It is multiplied by the number of processes, by which their average divides it again.
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


def contrastive_loss(
    g: Tensor, c: Tensor, temperature: float, negatives: str, mask: Tensor | None = None
) -> Tensor:
    """Equations 4-6: the mean of ½[ℓ(g, c) + ℓ(c, g)] over the clips.

    With s the cosine similarity divided by τ:
        ℓ(u, v)_i = −log( e^s(u_i, v_i) / Σ_negatives and the pair itself )

    Args:
        g: skeleton features (N, D).
        c: picture features (N, D).
        temperature: τ.
        negatives: `grace` (as released): v_k and u_k of the other clips; `eq6` (as printed): v_k for u_i and
            u_k for v_i of the other clips; `clip`: v_k only.
        mask: (N) bool, the clips that take part; None for all. The mean of none is zero.

    Raises:
        UserError: no such set of negatives.
    """
    if negatives not in NEGATIVES:
        raise UserError(f"no FAM loss {negatives!r}; there are: {', '.join(NEGATIVES)}")
    g, c = F.normalize(g, dim=1), F.normalize(c, dim=1)
    across = g @ c.T / temperature
    pair = across.diagonal()
    if mask is not None:
        # the pair itself stays, so that rows that do not count are finite, too
        apart = mask[:, None] & ~mask
        across = across.masked_fill(apart | apart.T, -torch.inf)
    if negatives == "clip":
        rows, columns = across, across.T
    elif negatives == "eq6":
        rows = columns = torch.cat([across, _without_pair(across.T)], dim=1)
    else:
        rows = torch.cat([across, _without_pair(g @ g.T / temperature, mask)], dim=1)
        columns = torch.cat([across.T, _without_pair(c @ c.T / temperature, mask)], dim=1)
    losses = 0.5 * (rows.logsumexp(1) + columns.logsumexp(1)) - pair
    if mask is None:
        return losses.mean()
    return losses.where(mask, 0).sum() / mask.sum().clamp(min=1)


def _without_pair(similarity: Tensor, mask: Tensor | None = None) -> Tensor:
    """Take the diagonal out of a sum of exponentials, and what is not in the mask."""
    out = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    if mask is not None:
        out = out | ~mask
    return similarity.masked_fill(out, -torch.inf)
