"""Statistics of batch norms, measured while the weights are frozen."""

import torch
from torch import nn

from mmcl.selfsup.encoder import concatenated
from mmcl.selfsup.files import Encoders
from mmcl.selfsup.views import Views

BATCH = 64
"""Clips whose statistics are taken together."""


@torch.no_grad()
def measure_norms(encoders: Encoders, views: Views) -> None:
    """Set the statistics of every batch norm to the mean over batches of clips, without dropout; no weight changes.

    At its first weights a network shrinks its input from block to block, which batch norms in evaluation mode, begun
    at mean 0 and variance 1, do not undo: after ten blocks all clips have the same features to the last bit. Running
    statistics, which move a tenth of the way per step, need hundreds of steps to follow ("precise BN", Wu and
    Johnson, "Rethinking 'Batch' in BatchNorm", 2021). The norm before an encoder's heads is measured together with
    those of its backbone.

    Args:
        encoders: in evaluation mode, before and afterwards.
        views: of two clips or more; they are used unchanged.
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
        # the mean over the batches so far; the first replaces the earlier statistics
        for norm in norms:
            norm.momentum = 1 / (number + 1)
        plain = views.plain(rows, encoders.modalities)
        for name, net in nets.items():
            net(concatenated(plain, encoders.inputs[name]))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    nets.eval()
