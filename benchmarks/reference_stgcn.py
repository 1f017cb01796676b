"""ST-GCN and IKEM's narrow one as their equations read, in the manner of `reference_ctrgcn`."""

import torch
from reference_layers import CHANNELS, STRIDES, normalised, pooled
from torch import Tensor, nn

from mmcl.models.graphs import spatial_partition

NARROW = (16, 16, 16, 16, 32, 32, 32, 64, 64, 256)
WINDOW, DROPOUT = 9, 0.5


class GraphConv(nn.Module):
    """Σ_k (W_k x + b_k) · A_k ∘ E_k."""

    def __init__(self, inputs: int, outputs: int, subsets: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, subsets * outputs, 1)

    def forward(self, x: Tensor, graphs: Tensor) -> Tensor:
        z = self.conv(x).unflatten(1, (len(graphs), -1))
        return torch.einsum("nkctv,kvw->nctw", z, graphs)


class Block(nn.Module):
    """Graph convolution, convolution over nine frames, dropout, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, subsets: int, first: bool):
        super().__init__()
        self.gcn = GraphConv(inputs, outputs, subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (WINDOW, 1), (stride, 1), (WINDOW // 2, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(0 if first else DROPOUT),
        )
        self.skip = not first
        self.residual: nn.Module = nn.Identity()
        if self.skip and (inputs != outputs or stride > 1):
            conv = nn.Conv2d(inputs, outputs, 1, (stride, 1))
            self.residual = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, graphs: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x, graphs))
        return torch.relu(y + self.residual(x) if self.skip else y)


class ReferenceSTGCN(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes). Everybody is normalised as a clip of one."""

    channels = CHANNELS
    head = "fcn"

    def __init__(self, num_classes: int, layout: str = "ntu25", persons: int = 2, width: float = 1.0):
        super().__init__()
        graph = spatial_partition(layout)
        self.persons = persons
        self.register_buffer("A", graph)
        self.data_bn = nn.BatchNorm1d(graph.shape[-1] * 3)
        outputs = [int(width * channels) for channels in self.channels]
        sizes = zip([3, *outputs[:-1]], outputs, STRIDES, strict=True)
        self.st_gcn_networks = nn.ModuleList(
            Block(inputs, own, stride, len(graph), first=number == 0)
            for number, (inputs, own, stride) in enumerate(sizes)
        )
        self.edge_importance = nn.ParameterList(torch.ones_like(graph) for _ in outputs)
        # the release of ST-GCN has a 1×1 convolution for a classifier, IKEM's a linear layer
        linear = self.head == "fc"
        last = nn.Linear(outputs[-1], num_classes) if linear else nn.Conv2d(outputs[-1], num_classes, 1)
        self.add_module(self.head, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Clips (N, 3, T, V, M) -> (N, D)."""
        x = normalised(x.permute(0, 4, 1, 2, 3).flatten(0, 1)[..., None], self.data_bn)
        for block, importance in zip(self.st_gcn_networks, self.edge_importance, strict=True):
            x = block(x, self.A * importance)
        return pooled(x, self.persons)

    def classify(self, features: Tensor) -> Tensor:
        """(N, D) -> logits."""
        head = getattr(self, self.head)
        return head(features) if self.head == "fc" else head(features[..., None, None]).flatten(1)


class ReferenceSTGCN16(ReferenceSTGCN):
    """A quarter of the width up to the last block."""

    channels = NARROW
    head = "fc"
