"""Learning rates, as factors of the setting `learning_rate`, for `torch.optim.lr_scheduler.LambdaLR`.

LambdaLR multiplies the base rate by a factor that is computed from the epoch, which is how the rates were defined here
in the first place. LinearLR, MultiStepLR and CosineAnnealingLR compute each rate from the one before it and
differ in the last bits (tests/engine/test_schedule.py).
"""

import math
from collections.abc import Sequence

from mmcl.settings.training import AdamWSettings, SgdSettings, TrainSettings


def sgd_factor(epoch: int, settings: SgdSettings) -> float:
    """Factor of the learning rate in an epoch, which is set once at its beginning.

    Linear warm-up, (epoch + 1) / warmup_epochs; then `decay` to the power of the `steps` that are over, or half a
    cosine that would reach min_rate after the last epoch. HD-GCN (min_rate 0.001) follows the same cosine batch by
    batch.

    Args:
        epoch: counts from 0.
        settings: of the training.
    """
    if epoch < settings.warmup_epochs:
        return (epoch + 1) / settings.warmup_epochs
    if settings.schedule == "cosine":
        done = (epoch - settings.warmup_epochs) / max(1, settings.epochs - settings.warmup_epochs)
        least = settings.min_rate if isinstance(settings, TrainSettings) else 0.0
        return least + (1 - least) * half_cosine(done)
    return steps_factor(epoch, settings.steps, settings.decay)


def steps_factor(epoch: int, steps: Sequence[int], decay: float) -> float:
    """`decay` to the power of the steps that lie at or before an epoch."""
    return decay ** sum(epoch >= step for step in steps)


def adamw_factor(step: int, settings: AdamWSettings, steps: int) -> float:
    """Factor of the learning rate in a step: linear warm-up, then half a cosine.

    Args:
        step: counts from 0, over all epochs.
        settings: of the training.
        steps: batches of an epoch.
    """
    warmup, total = max(1, round(settings.warmup_epochs * steps)), settings.epochs * steps
    if step < warmup:
        return (step + 1) / warmup
    return half_cosine(min(1.0, (step - warmup) / max(1, total - warmup)))


def half_cosine(done: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * done))
