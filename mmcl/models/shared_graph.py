"""Graph convolution with graphs that all clips share, and the order of axes in which it is fast.

Where every clip has the same graphs, the sum over joints is one matrix product per channel, provided that
joints come before people: activations are (C, V, K, T) here: channels, joints, people, frames.
"""

import torch
from torch import Tensor, nn

from mmcl.models.backbone import Backbone
from mmcl.models.kernels.frames import frame_conv
from mmcl.models.kernels.product import product
from mmcl.models.layers import ChannelNorm, NoNorm, fold_affine


class JointsFirst(Backbone):
    """A backbone whose blocks work on (C, V, K, T)."""

    def trunk(self, x: Tensor) -> Tensor:
        """See `Backbone`: (C', K, V, T) -> (K, D)."""
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x.mean((1, 3), dtype=torch.promote_types(x.dtype, torch.float32)).T


def shared_graph_conv(x: Tensor, graphs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """z[w] = Σ_k W_k Σ_v x[v] · A_k[v, w] + b[w].

    The joints are summed first: that takes C channels where the other order takes the outputs of all subsets,
    and leaves Σ_k to the product with the weights.

    Args:
        x: (C, V, N, T).
        graphs: A (K, V, V), rows the sources and columns the receivers.
        weight: W (K, O, C).
        bias: b (O, V), or (O, 1) where it is the same for all joints.

    Returns:
        (O, V, N, T).
    """
    channels, joints, count, frames = x.shape
    graphs = graphs.mT.flatten(0, 1)  # (K·V, V)
    if torch.compiler.is_exporting():  # there `expand` would be a stored copy for every channel
        gathered = torch.matmul(graphs, x.flatten(2))
    else:  # the gradient of a broadcast product would go through several copies
        gathered = torch.bmm(graphs.expand(channels, -1, -1), x.flatten(2))
    gathered = gathered.view(-1, joints * count * frames)  # (C·K, V·N·T)
    flat, shape = weight.permute(1, 2, 0).flatten(1), (-1, joints, count, frames)
    if bias.shape[1] == 1:
        return product(gathered, flat, bias[:, 0]).view(shape)
    return product(gathered, flat).view(shape) + bias[..., None, None]


class FrameConv(nn.Conv2d):
    """Convolution over time.

    Args:
        channels: in and out.
        frames: width of the window, odd.
        stride: keep every `stride`-th frame.
    """

    def __init__(self, channels: int, frames: int, stride: int = 1):
        super().__init__(channels, channels, (1, frames), (1, stride), (0, frames // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (C, V, N, ⌈T/stride⌉)."""
        assert self.bias is not None
        y = frame_conv(x.flatten(1, 2), self.weight, self.bias, self.stride[1])
        return y.view(-1, *x.shape[1:3], y.shape[-1])

    def absorb(self, norm: nn.Module) -> nn.Module:
        """Take the batch norm behind it into the weights, for evaluation; returns the module that replaces the norm."""
        assert isinstance(norm, ChannelNorm)
        assert self.bias is not None
        fold_affine(self.weight, self.bias, *norm.scale_shift())
        return NoNorm()
