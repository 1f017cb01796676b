"""CTRS-GCN as its equations read, in the manner of `reference_ctrgcn`."""

import torch
from reference_layers import FrameConv, normalised, point_norm, pooled, residual, widths
from torch import Tensor, nn

from mmcl.layouts import get_layout


class Spatial(nn.Module):
    """Three learned graphs with columns of unit length, one convolution for each, batch norm, skip path."""

    def __init__(self, inputs: int, outputs: int, joints: int):
        super().__init__()
        self.PA = nn.Parameter(torch.eye(joints).repeat(3, 1, 1))
        self.conv_d = nn.ModuleList(nn.Conv2d(inputs, outputs, 1) for _ in range(3))
        self.bn = nn.BatchNorm2d(outputs)
        self.down = point_norm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        graphs = self.PA / (self.PA.norm(dim=1, keepdim=True) + 1e-4)
        z = sum(
            conv(torch.einsum("nctv,vw->nctw", x, graph))
            for conv, graph in zip(self.conv_d, graphs, strict=True)
        )
        return torch.relu(self.bn(z) + self.down(x))


class Block(nn.Module):
    """Graph convolution, convolution over five frames, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, joints: int, skip: bool):
        super().__init__()
        self.gcn1 = Spatial(inputs, outputs, joints)
        self.tcn1 = FrameConv(outputs, outputs, 5, stride)
        self.skip = skip
        self.residual = residual(inputs, outputs, stride) if skip else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return torch.relu(y + self.residual(x) if self.skip else y)


class ReferenceCTRS(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes)."""

    def __init__(self, num_classes: int, layout: str = "ntu25", persons: int = 2, width: float = 1.0):
        super().__init__()
        joints = len(get_layout(layout))
        self.persons = persons
        self.data_bn = nn.BatchNorm1d(persons * joints * 3)
        sizes = widths(width)
        self.blocks = len(sizes)
        for number, (inputs, outputs, stride) in enumerate(sizes, start=1):
            self.add_module(f"l{number}", Block(inputs, outputs, stride, joints, skip=number > 1))
        self.fc = nn.Linear(sizes[-1][1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = normalised(x, self.data_bn)
        for number in range(1, self.blocks + 1):
            x = getattr(self, f"l{number}")(x)
        return self.fc(pooled(x, self.persons))
