"""Linear classifiers of frozen features: what a linear probe trains."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.errors import UserError
from mmcl.training.schedule import learning_rate


class Labelled(NamedTuple):
    """Features of clips.

    Attributes:
        features: (U, N, D), by U encoders.
        labels: (N) int64.
    """

    features: Tensor
    labels: Tensor


def standardised(train: Labelled, test: Labelled) -> tuple[Labelled, Labelled]:
    """Every feature with mean 0 and deviation 1 over the training clips, which a linear classifier learns faster from.

    What it can tell is the same, as this is linear; but where steps are few, as on a small data set, it is not there
    yet after as many of them.
    """
    deviation, mean = torch.std_mean(train.features, 1, keepdim=True, correction=0)
    scale = 1 / (deviation + 1e-5)  # what does not vary stays as good as zero
    parts = [part._replace(features=(part.features - mean) * scale) for part in (train, test)]
    return parts[0], parts[1]


class Best(NamedTuple):
    """An epoch that was chosen on the test clips, and the accuracy there in percent."""

    epoch: int
    top1: float


def train_heads(
    train: Labelled, test: Labelled, classes: int, settings: dict, seed: int, together: bool = False
) -> tuple[Tensor, list[Best]]:
    """Train a linear classifier an encoder by SGD, as CrosSCLR and IKEM do.

    apart:     L = Σ_u CE(W_u h_u + b_u, y); the heads share nothing but the order of clips
    together:  L = CE(1/U Σ_u (W_u h_u + b_u), y)

    Weights begin at N(0, 0.02). Everything drawn follows from `seed`. Incomplete batches are dropped; fewer clips
    than a batch are one.

    Args:
        train, test: on one device.
        classes: C.
        settings: epochs, batch, learning_rate, momentum, weight_decay, steps, decay, evaluate_every (epochs between
            looks at the test clips, for `Best`; the last is always looked at).
        seed: of weights and order.
        together: see above.

    Returns:
        Logits (S, N, C) of the test clips after the last epoch, S = U apart and 1 together; and S times the epoch that
        would have been best on them, the earliest of equals.

    Raises:
        UserError: the loss is not finite.
    """
    encoders, clips, width = train.features.shape
    place, generator = train.labels.device, torch.Generator().manual_seed(seed)
    weight = (0.02 * torch.randn(encoders, classes, width, generator=generator)).to(place).requires_grad_()
    bias = torch.zeros(encoders, classes, device=place, requires_grad=True)
    optimizer = torch.optim.SGD(
        [weight, bias],
        lr=settings["learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )

    def logits_of(features: Tensor) -> Tensor:
        logits = torch.baddbmm(bias[:, None], features, weight.mT)
        return logits.mean(0, keepdim=True) if together else logits

    epochs, size = settings["epochs"], min(settings["batch"], clips)
    best: list[Best] = []
    tested = torch.empty(0)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(epoch, {"warmup_epochs": 0, "schedule": "steps", **settings})
        order = torch.randperm(clips, generator=generator).to(place)
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
        if (epoch + 1) % settings["evaluate_every"] == 0 or epoch + 1 == epochs:
            with torch.no_grad():
                tested = logits_of(test.features)
            right = (tested.argmax(2) == test.labels).sum(1).tolist()
            now = [Best(epoch + 1, round(100 * count / len(test.labels), 2)) for count in right]
            best = (
                [max(pair, key=lambda one: one.top1) for pair in zip(best, now, strict=True)] if best else now
            )
    return tested, best
