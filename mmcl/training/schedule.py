"""Learning rate over the epochs."""

import math


def learning_rate(epoch: int, settings: dict) -> float:
    """The rate of an epoch, set once at its beginning.

    Linear warm-up, lr · (epoch + 1) / warmup_epochs; then steps (times `decay` from each epoch in `steps`
    on) or half a cosine that would reach lr · min_rate after the last epoch. HD-GCN (min_rate 0.001) moves
    along the same cosine with every batch.

    Args:
        epoch: counts from 0.
        settings: the `train` section: learning_rate, warmup_epochs, schedule, steps, decay, epochs,
            min_rate (0 if absent).
    """
    rate, warmup = settings["learning_rate"], settings["warmup_epochs"]
    if epoch < warmup:
        return rate * ((epoch + 1) / warmup)
    if settings["schedule"] == "cosine":
        done = (epoch - warmup) / max(1, settings["epochs"] - warmup)
        least = settings.get("min_rate", 0.0)
        return rate * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done)))
    return rate * settings["decay"] ** sum(epoch >= step for step in settings["steps"])
