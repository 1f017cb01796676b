"""Networks that tell clips apart without having been trained."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def lively(net: nn.Module, x: Tensor) -> nn.Module:
    """The network in evaluation mode with random norms whose running statistics are those of the clips x.

    With any other statistics activations drift from norm to norm, and logits end up the same for all clips.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.3)
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(x)
    for norm in norms:
        norm.momentum = 0.1
    net.eval()
    with torch.no_grad():
        logits = net(x)
    assert logits.std(0).mean() > 1e-3 * logits.abs().max()
    return net
