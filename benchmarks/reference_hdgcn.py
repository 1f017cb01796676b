"""HD-GCN as its equations read, in the manner of `reference_ctrgcn`: layer by layer, subset by subset."""

import torch
from reference_layers import Temporal, normalised, point_norm, pooled, residual, widths
from torch import Tensor, nn

from mmcl.models.graphs import hierarchical

SUBSETS, NEIGHBOURS, LAYER_NEIGHBOURS = 3, 5, 3


class EdgeConv(nn.Module):
    """max over the neighbours j of i: LeakyReLU(BN(W · [x[j] − x[i]; x[i]])), with all pairs in an array."""

    def __init__(self, channels: int, neighbours: int):
        super().__init__()
        self.neighbours = neighbours
        conv = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.conv = nn.Sequential(conv, nn.BatchNorm2d(channels), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, V) -> the same shape."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            full = x.to(torch.promote_types(x.dtype, torch.float32))
            square = full.square().sum(1)
            closeness = 2 * full.mT @ full - square[:, :, None] - square[:, None, :]
            nearest = closeness.topk(min(self.neighbours, x.shape[2])).indices  # (N, V, k)
        other = x[:, :, None].expand(-1, -1, x.shape[2], -1)
        other = other.gather(3, nearest[:, None].expand(-1, x.shape[1], -1, -1))
        own = x[..., None].expand_as(other)
        return self.conv(torch.cat([other - own, own], dim=1)).amax(-1)


class LayerAttention(nn.Module):
    """Weights of the layers, from their maxima over time."""

    def __init__(self, channels: int, groups: list[Tensor]):
        super().__init__()
        quarter = channels // 4
        self.groups = groups
        self.conv_down = nn.Sequential(nn.Conv2d(channels, quarter, 1), nn.BatchNorm2d(quarter), nn.ReLU())
        self.edge_conv = EdgeConv(quarter, LAYER_NEIGHBOURS)
        self.aggregate = nn.Conv1d(quarter, channels, 1)

    def forward(self, layers: Tensor) -> Tensor:
        """(N, O, L, T, V) -> their weighted sum (N, O, T, V)."""
        y = self.conv_down(layers.amax(3))
        nodes = torch.stack([y[:, :, n, joints].mean(-1) for n, joints in enumerate(self.groups)], dim=-1)
        weights = self.aggregate(self.edge_conv(nodes)).sigmoid()
        return (layers * weights[..., None, None]).sum(2)


class Spatial(nn.Module):
    """A graph convolution for every layer of the HD-Graph, and their weighted sum."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor, attention: bool):
        super().__init__()
        quarter = outputs // (SUBSETS + 1)
        self.PA = nn.Parameter(graph.clone())
        self.conv_down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, quarter, 1), nn.BatchNorm2d(quarter), nn.ReLU()) for _ in graph
        )
        self.conv = nn.ModuleList()
        for _ in graph:
            subsets = (
                nn.Sequential(nn.Conv2d(quarter, quarter, 1), nn.BatchNorm2d(quarter)) for _ in range(SUBSETS)
            )
            self.conv.append(nn.ModuleList([*subsets, EdgeConv(quarter, NEIGHBOURS)]))
        groups = [layer[0].diagonal().nonzero().flatten() for layer in graph]
        self.aha = LayerAttention(outputs, groups) if attention else None
        self.bn = nn.BatchNorm2d(outputs)
        self.down = point_norm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        layers = []
        for graphs, enter, (*subsets, edges) in zip(self.PA, self.conv_down, self.conv, strict=True):
            d = enter(x)
            parts = [
                conv(torch.einsum("uv,nctv->nctu", graph, d))
                for graph, conv in zip(graphs, subsets, strict=True)
            ]
            still = edges(d.mean(2))[:, :, None].expand_as(d)
            layers.append(torch.cat([*parts, still], dim=1))
        stack = torch.stack(layers, dim=2)
        y = stack.sum(2) if self.aha is None else self.aha(stack)
        return torch.relu(self.bn(y) + self.down(x))


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, first: bool):
        super().__init__()
        self.gcn1 = Spatial(inputs, outputs, graph, attention=not first)
        self.tcn1 = Temporal(outputs, stride, own_bias=True)
        self.skip = not first
        self.residual = nn.Identity() if first else residual(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return torch.relu(y + self.residual(x) if self.skip else y)


class ReferenceHDGCN(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes)."""

    def __init__(
        self,
        num_classes: int,
        layout: str = "ntu25",
        persons: int = 2,
        width: float = 1.0,
        graph: str = "hd21",
    ):
        super().__init__()
        matrix = hierarchical(layout, graph)
        self.persons = persons
        self.data_bn = nn.BatchNorm1d(persons * matrix.shape[-1] * 3)
        sizes = widths(width)
        self.blocks = len(sizes)
        for number, (inputs, outputs, stride) in enumerate(sizes, start=1):
            self.add_module(f"l{number}", Block(inputs, outputs, stride, matrix, first=number == 1))
        self.fc = nn.Linear(sizes[-1][1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = normalised(x, self.data_bn)
        for number in range(1, self.blocks + 1):
            x = getattr(self, f"l{number}")(x)
        return self.fc(pooled(x, self.persons))
