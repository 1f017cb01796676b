"""HD-GCN: hierarchically decomposed graph convolution (Lee et al., ICCV 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.models.backbone import Backbone
from mmcl.models.graphs import hierarchical
from mmcl.models.kernels.product import product
from mmcl.models.layers import (
    ChannelNorm,
    InputNorm,
    MultiScaleTemporal,
    NoNorm,
    PointConv,
    classifier,
    fold_affine,
    skip_path,
)
from mmcl.models.lazynorm import LazyNorm, accumulate, learned_sum, weighted_sum
from mmcl.models.reference import norm_names, point_norm_names, same_names, temporal_names

CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)
SUBSETS = 3
NEIGHBOURS = 5  # of a joint in feature space
LAYER_NEIGHBOURS = 3  # of a layer of the HD-Graph


class EdgeConv(nn.Module):
    """Graph convolution over the nearest neighbours in feature space (S-EdgeConv, section 3.2; Wang et al., 2019).

    y[i] = max over the neighbours j of i: LeakyReLU(BN(W · [x[j] − x[i]; x[i]])), a node being its own neighbour.
    Several convolutions of the same shape run side by side, each with neighbours of its own.

    Args:
        parts: convolutions, P.
        channels: in and out of each.
        neighbours: how many a node has, if there are as many nodes.
    """

    def __init__(self, parts: int, channels: int, neighbours: int):
        super().__init__()
        self.neighbours = neighbours
        weight = torch.empty(parts, channels, 2 * channels).normal_(0, (2 / channels) ** 0.5)
        self.weight = nn.Parameter(weight)
        self.norm = ChannelNorm(parts * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(P, C, N, V) -> the same shape."""
        parts, channels, count, nodes = x.shape
        # W · [x[j] − x[i]; x[i]] is linear in x[j] and x[i]: two products over the nodes instead of one over the pairs
        of_other = self.weight[..., :channels]
        both = torch.cat([of_other, self.weight[..., channels:] - of_other], dim=1)
        other, own = torch.bmm(both, x.flatten(2)).chunk(2, dim=1)
        nearest = self.nearest(x).view(parts, 1, -1).expand(-1, channels, -1)  # (P, C, N·V·k)
        pairs = other.gather(2, nearest).unflatten(2, (count * nodes, -1)) + own[..., None]
        pairs = F.leaky_relu(self.norm(pairs.flatten(0, 1)), 0.2)
        return pairs.amax(-1).view(x.shape)

    def nearest(self, x: Tensor) -> Tensor:
        """Of x (P, C, N, V) every node's neighbours, as numbers in N·V: (P, N, V, k) int64."""
        _, _, count, nodes = x.shape
        x = x.detach().permute(0, 2, 3, 1)  # (P, N, V, C)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):  # differences of products need their digits
            square = x.square().sum(-1)
            closeness = 2 * x @ x.transpose(-1, -2) - square[..., None] - square[..., None, :]
        first = nodes * torch.arange(count, device=x.device)
        return closeness.topk(min(self.neighbours, nodes)).indices + first[:, None, None]


class LayerAttention(nn.Module):
    """Attention over the layers of the HD-Graph (A-HA, section 3.3).

    Args:
        channels: of what a layer gives, O.
        joints: (L, V), 1 where a joint belongs to a layer.
    """

    joints: Tensor

    def __init__(self, channels: int, joints: Tensor):
        super().__init__()
        quarter = channels // 4
        self.reduce = PointConv(channels, quarter)
        self.reduce_norm: nn.Module = ChannelNorm(quarter)
        self.edges = EdgeConv(1, quarter, LAYER_NEIGHBOURS)
        self.expand = nn.Linear(quarter, channels)
        self.register_buffer("joints", joints / joints.sum(1, keepdim=True), persistent=False)

    def forward(self, peaks: Tensor) -> Tensor:
        """The layers' maxima over time (L, O, N, V) -> their weights (L, O, N), between 0 and 1."""
        reduced = self.reduce_norm(self.reduce(peaks.transpose(0, 1)), relu=True)
        nodes = (reduced * self.joints[:, None]).sum(-1).transpose(1, 2)  # a layer's mean over its joints
        related = self.edges(nodes[None])[0]  # (O/4, N, L)
        found: Tensor = self.expand(related.permute(2, 1, 0)).sigmoid().transpose(1, 2)
        return found

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        assert isinstance(self.reduce_norm, ChannelNorm)
        fold_affine(self.reduce.weight, self.reduce.bias, *self.reduce_norm.scale_shift())
        self.reduce_norm = NoNorm()
        return self


class HierarchicalGraphConv(nn.Module):
    """HD-Conv: a graph convolution for every layer of the HD-Graph, and their weighted sum (section 3.2).

    With d_l = ReLU(BN(D_l x)), O/4 channels per layer l and subset s:
        z_ls[u] = BN(W_ls · Σ_v A_ls[u, v] d_l[v])       z_l = [z_l0; z_l1; z_l2; EdgeConv(mean of d_l over time)]
        y = ReLU(BN(Σ_l a_l ⊙ z_l) + down(x))            a = A-HA(z), or 1

    Args:
        inputs: channels in.
        outputs: channels out, O.
        graph: (L, 3, V, V) initial value of A.
        attention: whether the layers are weighted.
    """

    def __init__(self, inputs: int, outputs: int, graph: Tensor, attention: bool):
        super().__init__()
        self.layers = layers = len(graph)
        quarter = outputs // (SUBSETS + 1)
        self.reduce = PointConv(inputs, layers * quarter, parts=layers)
        self.reduce_norm = ChannelNorm(layers * quarter)
        self.graph = nn.Parameter(graph.clone())
        self.weight = nn.Parameter(
            torch.empty(layers, SUBSETS * quarter, quarter).normal_(0, (2 / quarter) ** 0.5)
        )
        self.bias = nn.Parameter(torch.zeros(layers, SUBSETS * quarter))
        self.subset_norm = LazyNorm(layers * SUBSETS * quarter)
        self.edges = EdgeConv(layers, quarter, NEIGHBOURS)
        joints = graph[:, 0].diagonal(dim1=1, dim2=2)
        self.attention = LayerAttention(outputs, joints) if attention else None
        self.norm = ChannelNorm(outputs, 1e-6)  # so that a fresh block is its skip path
        self.down = skip_path(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T)."""
        x = frames_first(x)
        reduced = self.reduce_norm(self.reduce(x), relu=True).unflatten(0, (self.layers, -1))
        z = aggregate(self.graph, self.weight * self.subset_norm.factor().view(self.layers, -1, 1), reduced)
        z, scale, shift, peaks = self.subset_norm.of(z, self.bias)
        still = self.edges(reduced.mean(2))  # the same in all frames
        of_moving, of_still = self.weights(peaks, still)
        total = learned_sum if self.training else weighted_sum
        offset = (of_moving * shift[..., None]).sum(0)
        moving = total(z, (of_moving * scale[..., None]).to(z.dtype), offset.to(z.dtype))
        still = (of_still[..., None] * still).sum(0)[:, None].expand(-1, x.shape[1], -1, -1)
        y: Tensor = self.norm(torch.cat([moving, still.to(z.dtype)]), self.down(x), relu=True)
        return y.permute(0, 2, 3, 1)

    def weights(self, peaks: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the layers, (L, 3·O/4, N) and (L, O/4, N).

        Args:
            peaks: maximum over time of the subsets, (L, 3·O/4, N, V).
            still: what the edge convolution gives, (L, O/4, N, V).
        """
        if self.attention is None:
            return torch.ones_like(peaks[..., 0]), torch.ones_like(still[..., 0])
        weights = self.attention(torch.cat([peaks, still], dim=1))
        return weights[:, : peaks.shape[1]], weights[:, peaks.shape[1] :]

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        return FoldedGraphConv(self)


class FoldedGraphConv(nn.Module):
    """`HierarchicalGraphConv` in evaluation mode: its norms in its weights, the sum begun with the skip path.

    Args:
        unit: is used up.
    """

    scale: Tensor
    shift: Tensor

    @torch.no_grad()
    def __init__(self, unit: HierarchicalGraphConv):
        super().__init__()
        fold_affine(unit.reduce.weight, unit.reduce.bias, *unit.reduce_norm.scale_shift())
        fold_affine(unit.weight.flatten(0, 1), unit.bias.flatten(), *unit.subset_norm.scale_shift())
        scale, shift = unit.norm.scale_shift()
        self.register_buffer("scale", scale.to(unit.weight)[:, None])
        self.register_buffer("shift", shift.to(unit.weight)[:, None, None, None])
        del unit.reduce_norm, unit.subset_norm, unit.norm
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T)."""
        unit = self.unit
        x = frames_first(x)
        reduced = F.relu(unit.reduce(x), inplace=True).unflatten(0, (unit.layers, -1))
        z = aggregate(unit.graph, unit.weight, reduced)
        still = unit.edges(reduced.mean(2))
        of_moving, of_still = unit.weights(z.amax(2) + unit.bias[..., None, None], still)
        subsets = z.shape[1]
        of_moving, of_still = of_moving * self.scale[:subsets], of_still * self.scale[subsets:]
        offset = (of_moving * unit.bias[..., None]).sum(0)[..., None].expand(-1, -1, x.shape[-1])
        offset = torch.cat([offset, (of_still[..., None] * still).sum(0)])[:, None]
        y = unit.down(x) + (self.shift + offset).to(x.dtype)
        accumulate(y[:subsets], z, of_moving.to(z.dtype))
        return F.relu(y, inplace=True).permute(0, 2, 3, 1)


def frames_first(x: Tensor) -> Tensor:
    """(C, N, V, T) -> (C, T, N, V): a maximum over T is fast, and aggregating over V is one product."""
    return x.permute(0, 3, 1, 2).contiguous()


def aggregate(graph: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Σ_v A_ls[u, v] W_ls x_l[v] for every layer l and subset s.

    Args:
        graph: A, (L, 3, V, V).
        weight: W of the three subsets of a layer on top of each other, (L, 3·B, B).
        x: (L, B, T, N, V).

    Returns:
        (L, 3·B, T, N, V).
    """
    # a 1×1 convolution commutes with the aggregation, so the three of a layer come first, as one product
    z = product(x.flatten(2), weight).view(len(graph) * SUBSETS, -1, x.shape[-1])
    return product(z, graph.flatten(0, 1), last=True).view(len(graph), -1, *x.shape[2:])


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path: ReLU(TCN(GCN(x)) + skip(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, first: bool):
        super().__init__()
        self.spatial = HierarchicalGraphConv(inputs, outputs, graph, attention=not first)
        self.temporal = MultiScaleTemporal(outputs, stride)
        self.skip: nn.Module | None = None
        if not first:
            self.skip = skip_path(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, ⌈T/stride⌉)."""
        y = self.spatial(x)
        found: Tensor = self.temporal(y, None if self.skip is None else self.skip(x), relu=True)
        return found


class HDGCN(Backbone):
    """The backbone.

    Args:
        num_classes: classes.
        layout: name of the joint layout.
        persons: persons per clip, M.
        graph: `hd1 | hd2 | hd21`, the centre of the HD-Graph.
        in_channels: channels per joint.
        width: factor on the number of channels; 64 · width must be a multiple of 4.

    Attributes:
        feature_dim: width of `features`, 256 · width.

    Raises:
        UserError: the natural graph, which has no layers; a width that does not give whole channels.
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
        if graph == "natural":
            raise UserError("hdgcn needs graph hd1, hd2 or hd21: the natural graph has no layers")
        if width <= 0 or (64 * width) % 4:
            raise UserError(f"width {width}: 64 · width must be a positive multiple of 4 for hdgcn")
        matrix = hierarchical(layout, graph)
        channels = [int(c * width) for c in CHANNELS]
        sources = [in_channels, *channels[:-1]]
        self.persons = persons
        self.input_norm = InputNorm(persons, matrix.shape[-1], in_channels)
        self.blocks = nn.ModuleList(
            Block(source, target, stride, matrix, first=number == 0)
            for number, (source, target, stride) in enumerate(zip(sources, channels, STRIDES, strict=True))
        )
        self.feature_dim = channels[-1]
        self.head = classifier(self.feature_dim, num_classes)

    def reference_names(self) -> dict[str, list[str]]:
        """See `Backbone`; the names are those of HD-GCN's release."""
        names = norm_names("input_norm", "data_bn") | same_names("head", "fc", "weight", "bias")
        for number, block in enumerate(self.blocks, start=1):
            names |= _block(block, f"blocks.{number - 1}", f"l{number}")
        return names

    def reference_aliases(self) -> dict[str, str]:
        """See `Backbone`; the release registers the convolutions of the last layer a second time, as `conv_d`."""
        block = self.blocks[0]
        assert isinstance(block, Block)
        last = f".conv.{block.spatial.layers - 1}."
        theirs = [name for parts in self.reference_names().values() for name in parts]
        return {name.replace(last, ".conv_d."): name for name in theirs if f"gcn1{last}" in name}


def _block(block: nn.Module, ours: str, theirs: str) -> dict[str, list[str]]:
    assert isinstance(block, Block)
    spatial, gcn = f"{ours}.spatial", f"{theirs}.gcn1"
    layers = range(block.spatial.layers)
    subsets = [f"{gcn}.conv.{layer}.{subset}" for layer in layers for subset in range(SUBSETS)]
    edges = [f"{gcn}.conv.{layer}.{SUBSETS}.conv" for layer in layers]

    names = {f"{spatial}.graph": [f"{gcn}.PA"]}
    names |= same_names(
        f"{spatial}.reduce", [f"{gcn}.conv_down.{layer}.0" for layer in layers], "weight", "bias"
    )
    names |= norm_names(f"{spatial}.reduce_norm", [f"{gcn}.conv_down.{layer}.1" for layer in layers])
    names |= same_names(spatial, [f"{name}.0" for name in subsets], "weight", "bias")
    names |= norm_names(f"{spatial}.subset_norm", [f"{name}.1" for name in subsets])
    names |= same_names(f"{spatial}.edges", [f"{name}.0" for name in edges], "weight")
    names |= norm_names(f"{spatial}.edges.norm", [f"{name}.1" for name in edges])
    if block.spatial.attention is not None:
        attention, aha = f"{spatial}.attention", f"{gcn}.aha"
        names |= same_names(f"{attention}.reduce", f"{aha}.conv_down.0", "weight", "bias")
        names |= norm_names(f"{attention}.reduce_norm", f"{aha}.conv_down.1")
        names |= same_names(f"{attention}.edges", f"{aha}.edge_conv.conv.0", "weight")
        names |= norm_names(f"{attention}.edges.norm", f"{aha}.edge_conv.conv.1")
        names |= same_names(f"{attention}.expand", f"{aha}.aggregate", "weight", "bias")
    names |= norm_names(f"{spatial}.norm", f"{gcn}.bn")
    names |= point_norm_names(f"{spatial}.down", block.spatial.down, f"{gcn}.down.0", f"{gcn}.down.1")
    names |= temporal_names(f"{ours}.temporal", f"{theirs}.tcn1.branches", bias="bias")
    residual = f"{theirs}.residual"
    names |= point_norm_names(f"{ours}.skip", block.skip, f"{residual}.conv", f"{residual}.bn")
    return names
