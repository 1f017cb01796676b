"""Optimizers and their learning rate schedules."""

from functools import partial
from typing import NamedTuple

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from mmcl.engine.schedule import adamw_factor, sgd_factor
from mmcl.settings.training import AdamWSettings, SgdSettings, TrainSettings


class Optimizing(NamedTuple):
    """An optimizer and its schedule.

    Attributes:
        optimizer: of the network's parameters.
        scheduler: of its learning rate.
        every_step: whether the scheduler advances with each step, instead of with each epoch.
    """

    optimizer: Optimizer
    scheduler: LRScheduler
    every_step: bool


def build_optimizer(net: nn.Module, settings: SgdSettings | AdamWSettings, steps: int) -> Optimizing:
    """The optimizer that the settings describe.

    Args:
        net: whose parameters are trained.
        settings: SGD with a rate for each epoch; or AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay on
            matrices alone and a rate for each step.
        steps: batches of an epoch.
    """
    if isinstance(settings, SgdSettings):
        sgd = SGD(
            net.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=isinstance(settings, TrainSettings) and settings.nesterov,
            weight_decay=settings.weight_decay,
        )
        return Optimizing(sgd, LambdaLR(sgd, partial(sgd_factor, settings=settings)), every_step=False)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = AdamW(groups, lr=settings.learning_rate)
    factor = partial(adamw_factor, settings=settings, steps=steps)
    return Optimizing(adamw, LambdaLR(adamw, factor), every_step=True)
