"""Statistics of batch norms, measured when the weights stand still."""

import torch
from torch import nn

from mmcl.selfsup.files import Encoders
from mmcl.selfsup.views import Views

BATCH = 64
"""Clips whose statistics are taken together."""


@torch.no_grad()
def measure_norms(encoders: Encoders, views: Views) -> None:
    """Give every batch norm the mean of its batches' statistics, without dropout; no weight changes.

    At its first weights a network shrinks what it sees from block to block, which the norms of an evaluation, begun at
    mean 0 and variance 1, do not make good: after ten blocks all clips have the same features to the last bit. A
    training that moves them a tenth of the way in a step needs hundreds of steps to undo that ("precise BN", Wu and
    Johnson, "Rethinking 'Batch' in BatchNorm", 2021). That of an encoder's heads must follow those below it.

    Args:
        encoders: in evaluation mode, before and afterwards.
        views: of two clips or more; they are shown as they are.
    """
    count = len(views.clips.length)
    # in random order, as stores may be sorted by action, and in equal parts, so that none is a single clip
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(views.clips.length.device)
    batches = order.tensor_split(-(-count // BATCH))
    nets = encoders.nets
    norms = [module for module in nets.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    nets.train()
    for module in nets.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    for number, rows in enumerate(batches):
        # a mean over the batches so far; the first takes the place of what was there
        for norm in norms:
            norm.momentum = 1 / (number + 1)
        plain = views.plain(rows, encoders.modalities)
        for name, net in nets.items():
            net(encoders.seen_by(name, plain))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    nets.eval()
