"""AdamW for networks that see pictures: linear warm-up, then half a cosine, step by step."""

import math

import torch


def adamw(
    model: torch.nn.Module, settings: dict, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay for matrices only, and its schedule.

    Args:
        model: what is trained.
        settings: `learning_rate`, `weight_decay`, `epochs`, `warmup_epochs`.
        steps: batches in an epoch.

    Returns:
        Optimizer and scheduler; the scheduler steps once per batch.
    """
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": settings["weight_decay"]},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings["learning_rate"])
    warmup, total = max(1, round(settings["warmup_epochs"] * steps)), settings["epochs"] * steps

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
