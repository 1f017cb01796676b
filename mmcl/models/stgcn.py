"""ST-GCN: spatial temporal graph convolutional network (Yan et al., AAAI 2018), and IKEM's narrow one."""

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.models.graphs import spatial_partition
from mmcl.models.kernels.norm import added
from mmcl.models.layers import ChannelNorm, InputNorm, NoNorm, skip_path
from mmcl.models.reference import norm_names, point_norm_names, same_names
from mmcl.models.shared_graph import FrameConv, JointsFirst, shared_graph_conv

STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)
SUBSETS = 3
WINDOW = 9
DROPOUT = 0.5


class PartitionConv(nn.Module):
    """Graph convolution over the subsets of a fixed graph with the learned importance E of its edges.

    z[w] = Σ_k Σ_v (W_k x[v] + b_k) · A_k[v, w] · E_k[v, w]

    Args:
        inputs: channels in.
        outputs: channels out.
        graph: A (3, V, V), not learned.
    """

    graph: Tensor

    def __init__(self, inputs: int, outputs: int, graph: Tensor):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(SUBSETS, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(SUBSETS, outputs))
        self.importance = nn.Parameter(torch.ones_like(graph))
        self.register_buffer("graph", graph, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (O, V, N, T)."""
        graphs = self.graph * self.importance
        # columns of one subset do not sum to one, so every joint gets another share of the biases
        return shared_graph_conv(x, graphs, self.weight, self.bias.T @ graphs.sum(1))


class FoldedConv(nn.Module):
    """`PartitionConv` and the norm behind it in evaluation mode.

    Args:
        unit: the convolution.
        norm: its norm.
    """

    graphs: Tensor
    weight: Tensor
    bias: Tensor

    @torch.no_grad()
    def __init__(self, unit: nn.Module, norm: nn.Module):
        super().__init__()
        assert isinstance(unit, PartitionConv)
        assert isinstance(norm, ChannelNorm)
        scale, shift = norm.scale_shift()
        graphs = unit.graph * unit.importance
        bias = (unit.bias.T @ graphs.sum(1)) * scale[:, None] + shift[:, None]
        self.register_buffer("graphs", graphs)
        self.register_buffer("weight", (unit.weight * scale[:, None]).to(graphs))
        self.register_buffer("bias", bias.to(graphs))

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (O, V, N, T)."""
        return shared_graph_conv(x, self.graphs, self.weight, self.bias)


class Block(nn.Module):
    """Graph convolution, temporal convolution, dropout, skip path: ReLU(TCN(GCN(x)) + skip(x)).

    The first of a network has neither skip path nor dropout.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, first: bool):
        super().__init__()
        self.spatial: nn.Module = PartitionConv(inputs, outputs, graph)
        self.spatial_norm: nn.Module = ChannelNorm(outputs)
        self.temporal = FrameConv(outputs, WINDOW, stride)
        self.temporal_norm: nn.Module = ChannelNorm(outputs)
        self.dropout = nn.Dropout(0 if first else DROPOUT)
        self.skip: nn.Module | None = None
        if not first:
            self.skip = skip_path(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(C, V, N, T) -> (O, V, N, ⌈T/stride⌉)."""
        y = self.temporal(self.spatial_norm(self.spatial(x), relu=True))
        skip = None if self.skip is None else self.skip(x)
        if self.dropout.p and self.training:
            return added(self.dropout(self.temporal_norm(y)), skip, relu=True)
        found: Tensor = self.temporal_norm(y, skip, relu=True)
        return found

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        self.spatial, self.spatial_norm = FoldedConv(self.spatial, self.spatial_norm), NoNorm()
        self.temporal_norm = self.temporal.absorb(self.temporal_norm)
        return self


class STGCN(JointsFirst):
    """The backbone at its original width.

    Args:
        num_classes: classes.
        layout: name of the joint layout; its root is the graph's centre.
        persons: persons per clip, M; they share the statistics of the input's normalisation.
        graph: `natural`; the partition has no counterpart for other graphs.
        in_channels: channels per joint.
        width: factor on the number of channels, which must stay whole.

    Attributes:
        feature_dim: width of `features`, 256 · width.

    Raises:
        UserError: another graph, or a width that does not give whole channels.
    """

    channels: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
    reference_head = "fcn"

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
            raise UserError(
                f"graph {graph!r}: ST-GCN partitions the skeleton itself, so it takes natural only"
            )
        if width <= 0 or self.channels[0] * width % 1:
            raise UserError(f"width {width}: {self.channels[0]} · width must be a positive whole number")
        matrix = spatial_partition(layout)
        channels = [int(c * width) for c in self.channels]
        sources = [in_channels, *channels[:-1]]
        self.persons = persons
        self.input_norm = InputNorm(1, matrix.shape[-1], in_channels)
        self.blocks = nn.ModuleList(
            Block(source, target, stride, matrix, first=number == 0)
            for number, (source, target, stride) in enumerate(zip(sources, channels, STRIDES, strict=True))
        )
        self.feature_dim = channels[-1]
        self.head = nn.Linear(self.feature_dim, num_classes)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name.endswith("weight"):
                nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.02)

    def stem(self, x: Tensor) -> Tensor:
        """See `Backbone`: every person is normalised as a clip of one."""
        found: Tensor = self.input_norm(x.permute(0, 4, 1, 2, 3).flatten(0, 1)[..., None])
        return found

    def stem_of(self, x: Tensor, slot: Tensor) -> Tensor:
        """See `Backbone`; the slot has no influence."""
        return self.input_norm.of(x, torch.zeros_like(slot))

    def reference_names(self) -> dict[str, list[str]]:
        """See `Backbone`."""
        names = norm_names("input_norm", "data_bn")
        names |= same_names("head", self.reference_head, "weight", "bias")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            ours, theirs = f"blocks.{number}", f"st_gcn_networks.{number}"
            names |= {f"{ours}.spatial.importance": [f"edge_importance.{number}"]}
            names |= same_names(f"{ours}.spatial", f"{theirs}.gcn.conv", "weight", "bias")
            names |= norm_names(f"{ours}.spatial_norm", f"{theirs}.tcn.0")
            names |= same_names(f"{ours}.temporal", f"{theirs}.tcn.2", "weight", "bias")
            names |= norm_names(f"{ours}.temporal_norm", f"{theirs}.tcn.3")
            residual = f"{theirs}.residual"
            names |= point_norm_names(f"{ours}.skip", block.skip, f"{residual}.0", f"{residual}.1")
        return names

    def reference_constants(self) -> dict[str, Tensor]:
        """See `Backbone`: the graph, which the release saves although it is not learned."""
        block = self.blocks[0]
        assert isinstance(block, Block)
        assert isinstance(block.spatial, PartitionConv)
        return {"A": block.spatial.graph}


class STGCN16(STGCN):
    """A quarter of the width up to the last block, with a classifier of IKEM's name."""

    channels = (16, 16, 16, 16, 32, 32, 32, 64, 64, 256)
    reference_head = "fc"
