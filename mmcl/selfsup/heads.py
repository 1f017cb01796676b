"""Linear classifiers of frozen features: what a linear probe trains."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.engine.schedule import steps_factor
from mmcl.errors import UserError
from mmcl.progress import tracked
from mmcl.settings.selfsup import ProbeSettings


class Labelled(NamedTuple):
    """Features of clips.

    Attributes:
        features: (U, N, D), by U encoders.
        labels: (N) int64.
    """

    features: Tensor
    labels: Tensor


def standardised(train: Labelled, test: Labelled) -> tuple[Labelled, Labelled]:
    """Every feature with mean 0 and standard deviation 1 over the training clips.

    The map is linear, so a linear classifier can separate the same classes; but it converges in fewer steps, and a
    small data set has few of them.
    """
    deviation, mean = torch.std_mean(train.features, 1, keepdim=True, correction=0)
    scale = 1 / (deviation + 1e-5)  # a feature that does not vary stays near zero
    parts = [part._replace(features=(part.features - mean) * scale) for part in (train, test)]
    return parts[0], parts[1]


class Best(NamedTuple):
    """An epoch that was chosen on the test clips, and the accuracy there in percent."""

    epoch: int
    top1: float


def train_heads(
    train: Labelled, test: Labelled, classes: int, settings: ProbeSettings, seed: int, together: bool = False
) -> tuple[Tensor, list[Best]]:
    """Train one linear classifier per encoder by SGD, as CrosSCLR and IKEM do.

    apart:     L = Σ_u CE(W_u h_u + b_u, y); the heads share nothing but the order of clips
    together:  L = CE(1/U Σ_u (W_u h_u + b_u), y)

    Weights begin at N(0, 0.02). All random numbers follow from `seed`. Incomplete batches are dropped; fewer clips
    than a batch are one.

    Args:
        train, test: on one device.
        classes: C.
        settings: of the training. Every `evaluate_every` epochs and after the last one the test clips are scored,
            for `Best`.
        seed: of weights and order.
        together: see above.

    Returns:
        Logits (S, N, C) of the test clips after the last epoch, S = U apart and 1 together; and S times the epoch that
        would have been best on them, the earliest of equals.

    Raises:
        UserError: the loss is not finite.
    """
    encoders, clips, width = train.features.shape
    device, generator = train.labels.device, torch.Generator().manual_seed(seed)
    weight = (0.02 * torch.randn(encoders, classes, width, generator=generator)).to(device).requires_grad_()
    bias = torch.zeros(encoders, classes, device=device, requires_grad=True)
    optimizer = torch.optim.SGD(
        [weight, bias],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )

    def logits_of(features: Tensor) -> Tensor:
        logits = torch.baddbmm(bias[:, None], features, weight.mT)
        return logits.mean(0, keepdim=True) if together else logits

    size = min(settings.batch, clips)
    best: list[Best] = []
    tested = torch.empty(0)
    for epoch in tracked(range(settings.epochs), "linear probe", "epochs"):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * steps_factor(epoch, settings.steps, settings.decay)
        order = torch.randperm(clips, generator=generator).to(device)
        for rows in order[: clips - clips % size].split(size):
            logits = logits_of(train.features[:, rows])
            labels = train.labels[rows].expand(len(logits), -1)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten()) * len(logits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if not torch.isfinite(loss):
            raise UserError(
                f"linear probe: the loss is not finite in epoch {epoch + 1}; lower selfsup.probe.learning_rate"
            )
        if (epoch + 1) % settings.evaluate_every == 0 or epoch + 1 == settings.epochs:
            with torch.no_grad():
                tested = logits_of(test.features)
            right = (tested.argmax(2) == test.labels).sum(1).tolist()
            now = [Best(epoch + 1, round(100 * count / len(test.labels), 2)) for count in right]
            best = (
                [max(pair, key=lambda one: one.top1) for pair in zip(best, now, strict=True)] if best else now
            )
    return tested, best
