"""CTR-GCN as its equations read: what the benchmarks are measured against.

Activations (N, C, T, V), every subset and temporal branch a module of its own, einsum for the graphs; entries of
the state dict have the released names, so `load_reference` gives our network the same weights.
"""

import torch
from torch import Tensor, nn

from mmcl.models.graphs import adjacency

CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


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
        self.down = nn.Identity()
        if inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        z = sum(conv(x, graph, self.alpha) for conv, graph in zip(self.convs, self.PA, strict=True))
        return torch.relu(self.bn(z) + self.down(x))


class FrameConv(nn.Module):
    """Convolution over time, or of single joints and frames, and batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int = 1):
        super().__init__()
        padding = (kernel // 2 * dilation, 0)
        self.conv = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1), padding, (dilation, 1))
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Temporal(nn.Module):
    """Four branches, concatenated."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        part = channels // 4

        def enter() -> list[nn.Module]:
            return [nn.Conv2d(channels, part, 1), nn.BatchNorm2d(part), nn.ReLU()]

        self.branches = nn.ModuleList(
            nn.Sequential(*enter(), FrameConv(part, part, 5, stride, dilation)) for dilation in (1, 2)
        )
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(nn.Sequential(*enter(), pool, nn.BatchNorm2d(part)))
        self.branches.append(nn.Sequential(nn.Conv2d(channels, part, 1, (stride, 1)), nn.BatchNorm2d(part)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, skip: bool):
        super().__init__()
        self.gcn1 = Spatial(inputs, outputs, graph)
        self.tcn1 = Temporal(outputs, stride)
        self.skip = skip
        self.residual = nn.Identity()
        if skip and (inputs != outputs or stride > 1):
            self.residual = FrameConv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return torch.relu(y + self.residual(x) if self.skip else y)


class ReferenceCTRGCN(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes)."""

    def __init__(self, num_classes: int, layout: str = "ntu25", persons: int = 2):
        super().__init__()
        graph = adjacency(layout)
        self.data_bn = nn.BatchNorm1d(persons * graph.shape[-1] * 3)
        inputs = 3
        for number, (channels, stride) in enumerate(zip(CHANNELS, STRIDES, strict=True), start=1):
            self.add_module(f"l{number}", Block(inputs, channels, stride, graph, skip=number > 1))
            inputs = channels
        self.fc = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        clips, channels, frames, joints, persons = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(clips, -1, frames)
        x = self.data_bn(x).view(clips, persons, joints, channels, frames)
        x = x.permute(0, 1, 3, 4, 2).reshape(clips * persons, channels, frames, joints)
        for number in range(1, len(CHANNELS) + 1):
            x = getattr(self, f"l{number}")(x)
        return self.fc(x.mean((2, 3)).view(clips, persons, -1).mean(1))


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights away from their start, where α = 0 and γ = 1e-6 would hide differences."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var") or (value.dim() == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and not name.endswith("PA"):
                value.normal_(
                    0, max(1, value[:1].numel()) ** -0.5 if value.dim() > 1 else 0.1, generator=generator
                )
    return net
