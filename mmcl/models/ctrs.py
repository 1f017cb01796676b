"""CTRS-GCN: the baseline that CTR-GCN was released with (Chen et al., ICCV 2021), adaptive graphs for all clips.

MMCL's zero-shot experiments run it as well.
"""

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.models.layers import ChannelNorm, InputNorm, NoNorm, classifier, skip_path
from mmcl.models.reference import norm_names, point_norm_names, same_names
from mmcl.models.shared_graph import FrameConv, JointsFirst, shared_graph_conv

CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)
SUBSETS = 3
WINDOW = 5


class AdaptiveGraphConv(nn.Module):
    """Graph convolution with three learned graphs.

    z[w] = Σ_k W_k Σ_v x[v] · Â_k[v, w] + b_k,   Â = A with columns of unit length,
    y = ReLU(BN(z) + down(x)).

    Args:
        inputs: channels in.
        outputs: channels out.
        joints: V.
    """

    def __init__(self, inputs: int, outputs: int, joints: int):
        super().__init__()
        spread = (2 / (SUBSETS * outputs * inputs)) ** 0.5
        self.weight = nn.Parameter(torch.empty(SUBSETS, outputs, inputs).normal_(0, spread))
        self.bias = nn.Parameter(torch.zeros(SUBSETS, outputs))
        self.graph = nn.Parameter(torch.eye(joints).repeat(SUBSETS, 1, 1))
        self.norm: nn.Module = ChannelNorm(outputs, 1e-6)  # so that a fresh block is its skip path
        self.down = skip_path(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (O, V, N, T)."""
        graphs = self.graph / (self.graph.norm(dim=1, keepdim=True) + 1e-4)
        z = shared_graph_conv(x, graphs, self.weight, self.bias.sum(0)[:, None])
        found: Tensor = self.norm(z, self.down(x), relu=True)
        return found

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        assert isinstance(self.norm, ChannelNorm)
        scale, shift = self.norm.scale_shift()
        self.weight.copy_(self.weight.double() * scale[:, None])
        self.bias.copy_(self.bias.double() * scale + shift / SUBSETS)
        self.norm = NoNorm()
        return self


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path: ReLU(BN(TCN(GCN(x))) + skip(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, joints: int, skip: bool):
        super().__init__()
        self.spatial = AdaptiveGraphConv(inputs, outputs, joints)
        self.temporal = FrameConv(outputs, WINDOW, stride)
        nn.init.kaiming_normal_(self.temporal.weight, mode="fan_out")
        self.temporal.bias = nn.Parameter(torch.zeros(outputs))
        self.norm: nn.Module = ChannelNorm(outputs)
        self.skip: nn.Module | None = None
        if skip:
            self.skip = skip_path(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (O, V, N, ⌈T/stride⌉)."""
        y = self.temporal(self.spatial(x))
        found: Tensor = self.norm(y, None if self.skip is None else self.skip(x), relu=True)
        return found

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        self.norm = self.temporal.absorb(self.norm)
        return self


class CTRS(JointsFirst):
    """The backbone. Its graphs start as identities whatever the skeleton, and are learned.

    Args:
        num_classes: classes.
        layout: name of the joint layout.
        persons: persons per clip, M.
        graph: `natural`, which means the identities.
        in_channels: channels per joint.
        width: factor on the number of channels; 64 · width must be whole.

    Attributes:
        feature_dim: width of `features`, 256 · width.

    Raises:
        UserError: another graph, or a width that does not give whole channels.
    """

    def __init__(
        self,
        num_classes: int,
        layout: str,
        persons: int,
        graph: str,
        in_channels: int,
        width: float,
    ):
        super().__init__()
        if graph != "natural":
            raise UserError(f"graph {graph!r}: ctrs starts from identities, so it takes natural only")
        if width <= 0 or 64 * width % 1:
            raise UserError(f"width {width}: 64 · width must be a positive whole number for ctrs")
        joints = len(get_layout(layout))
        channels = [int(c * width) for c in CHANNELS]
        sources = [in_channels, *channels[:-1]]
        self.persons = persons
        self.input_norm = InputNorm(persons, joints, in_channels)
        self.blocks = nn.ModuleList(
            Block(source, target, stride, joints, skip=number > 0)
            for number, (source, target, stride) in enumerate(zip(sources, channels, STRIDES, strict=True))
        )
        self.feature_dim = channels[-1]
        self.head = classifier(self.feature_dim, num_classes)

    def reference_names(self) -> dict[str, list[str]]:
        """See `Backbone`; the names are those of CTR-GCN's `baseline` and MMCL's `ctrsgcn`."""
        names = norm_names("input_norm", "data_bn") | same_names("head", "fc", "weight", "bias")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            ours, theirs = f"blocks.{number}", f"l{number + 1}"
            spatial, gcn = f"{ours}.spatial", f"{theirs}.gcn1"
            names |= {f"{spatial}.graph": [f"{gcn}.PA"]}
            names |= same_names(spatial, [f"{gcn}.conv_d.{k}" for k in range(SUBSETS)], "weight", "bias")
            names |= norm_names(f"{spatial}.norm", f"{gcn}.bn")
            names |= same_names(f"{ours}.temporal", f"{theirs}.tcn1.conv", "weight", "bias")
            names |= norm_names(f"{ours}.norm", f"{theirs}.tcn1.bn")
            names |= point_norm_names(f"{spatial}.down", block.spatial.down, f"{gcn}.down.0", f"{gcn}.down.1")
            residual = f"{theirs}.residual"
            names |= point_norm_names(f"{ours}.skip", block.skip, f"{residual}.conv", f"{residual}.bn")
        return names
