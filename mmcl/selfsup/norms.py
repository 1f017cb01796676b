"""Statistics of batch norms for encoders that have learned nothing."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmcl.selfsup.files import Encoders


@torch.no_grad()
def measure_norms(encoders: Encoders, batches: Iterable[dict[str, Tensor]]) -> None:
    """Give every batch norm the mean of its batches' statistics, without dropout; no weight changes.

    At its first weights a network shrinks what it sees from block to block, which the norms of an evaluation, begun at
    mean 0 and variance 1, do not make good: after ten blocks all clips have the same features to the last bit.

    Args:
        encoders: in evaluation mode, before and afterwards.
        batches: modality → (B, 3, T, V, M), at least two clips each.
    """
    modules = [module for net in encoders.backbones.values() for module in net.modules()]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for net in encoders.backbones.values():
        net.train()
    for module in modules:
        if isinstance(module, nn.Dropout):
            module.eval()
    for number, views in enumerate(batches):
        # a mean over the batches so far; the first takes the place of what was there
        for norm in norms:
            norm.momentum = 1 / (number + 1)
        encoders.features(views)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    for net in encoders.backbones.values():
        net.eval()
