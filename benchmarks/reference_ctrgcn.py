"""CTR-GCN as its equations read: what the benchmarks are measured against.

Activations (N, C, T, V), every subset and temporal branch a module of its own, einsum for the graphs; entries of
the state dict have the released names, so `load_reference` gives our network the same weights.
"""

import torch
from reference_layers import Temporal, normalised, point_norm, pooled, residual, widths
from torch import Tensor, nn

from mmcl.models.graphs import adjacency


class GraphConv(nn.Module):
    """One subset: its graph refined per channel, then applied."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        reduced = 8 if inputs == 3 else inputs // 8
        self.conv1 = nn.Conv2d(inputs, reduced, 1)
        self.conv2 = nn.Conv2d(inputs, reduced, 1)
        self.conv3 = nn.Conv2d(inputs, outputs, 1)
        self.conv4 = nn.Conv2d(reduced, outputs, 1)

    def forward(self, x: Tensor, graph: Tensor, alpha: Tensor) -> Tensor:
        q, p = self.conv1(x).mean(2), self.conv2(x).mean(2)  # (N, R, V)
        relation = torch.tanh(q[..., :, None] - p[..., None, :])
        refined = self.conv4(relation) * alpha + graph
        return torch.einsum("ncuv,nctv->nctu", refined, self.conv3(x))


class Spatial(nn.Module):
    """The three subsets, batch norm, skip path."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor):
        super().__init__()
        self.PA = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.convs = nn.ModuleList(GraphConv(inputs, outputs) for _ in graph)
        self.bn = nn.BatchNorm2d(outputs)
        self.down = point_norm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        z = sum(conv(x, graph, self.alpha) for conv, graph in zip(self.convs, self.PA, strict=True))
        return torch.relu(self.bn(z) + self.down(x))


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, skip: bool):
        super().__init__()
        self.gcn1 = Spatial(inputs, outputs, graph)
        self.tcn1 = Temporal(outputs, stride)
        self.skip = skip
        self.residual = residual(inputs, outputs, stride) if skip else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return torch.relu(y + self.residual(x) if self.skip else y)


class ReferenceCTRGCN(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes)."""

    def __init__(self, num_classes: int, layout: str = "ntu25", persons: int = 2, width: float = 1.0):
        super().__init__()
        graph = adjacency(layout)
        self.persons = persons
        self.data_bn = nn.BatchNorm1d(persons * graph.shape[-1] * 3)
        sizes = widths(width)
        self.blocks = len(sizes)
        for number, (inputs, outputs, stride) in enumerate(sizes, start=1):
            self.add_module(f"l{number}", Block(inputs, outputs, stride, graph, skip=number > 1))
        self.fc = nn.Linear(sizes[-1][1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = normalised(x, self.data_bn)
        for number in range(1, self.blocks + 1):
            x = getattr(self, f"l{number}")(x)
        return self.fc(pooled(x, self.persons))
