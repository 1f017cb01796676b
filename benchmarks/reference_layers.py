"""What the plain networks share: activations (N, C, T, V), one module for each convolution and batch norm."""

import torch
from torch import Tensor, nn

CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class FrameConv(nn.Module):
    """Convolution over time, or of single joints and frames, and batch norm.

    With `own_bias` the bias is a parameter of this module instead of the convolution's, as HD-GCN's release has it.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int = 1, own_bias: bool = False
    ):
        super().__init__()
        padding = (kernel // 2 * dilation, 0)
        self.conv = nn.Conv2d(
            inputs, outputs, (kernel, 1), (stride, 1), padding, (dilation, 1), bias=not own_bias
        )
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1)) if own_bias else None
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.bn(y if self.bias is None else y + self.bias)


class Temporal(nn.Module):
    """Four branches, concatenated."""

    def __init__(self, channels: int, stride: int, own_bias: bool = False):
        super().__init__()
        part = channels // 4

        def enter() -> list[nn.Module]:
            return [nn.Conv2d(channels, part, 1), nn.BatchNorm2d(part), nn.ReLU()]

        self.branches = nn.ModuleList(
            nn.Sequential(*enter(), FrameConv(part, part, 5, stride, dilation, own_bias))
            for dilation in (1, 2)
        )
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(nn.Sequential(*enter(), pool, nn.BatchNorm2d(part)))
        self.branches.append(nn.Sequential(nn.Conv2d(channels, part, 1, (stride, 1)), nn.BatchNorm2d(part)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def widths(width: float) -> list[tuple[int, int, int]]:
    """Channels in, channels out and stride of the ten blocks."""
    outputs = [int(width * channels) for channels in CHANNELS]
    return list(zip([3, *outputs[:-1]], outputs, STRIDES, strict=True))


def point_norm(inputs: int, outputs: int) -> nn.Module:
    """1×1 convolution and batch norm where the number of channels changes, else nothing."""
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))


def residual(inputs: int, outputs: int, stride: int) -> nn.Module:
    """1×1 convolution and batch norm where the shape changes, else nothing."""
    return nn.Identity() if inputs == outputs and stride == 1 else FrameConv(inputs, outputs, 1, stride)


def normalised(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Clips (N, C, T, V, M) -> people (N·M, C, T, V), each coordinate of each joint of each person normalised."""
    clips, channels, frames, joints, persons = x.shape
    x = norm(x.permute(0, 4, 3, 1, 2).reshape(clips, -1, frames))
    x = x.view(clips, persons, joints, channels, frames).permute(0, 1, 3, 4, 2)
    return x.reshape(clips * persons, channels, frames, joints)


def pooled(x: Tensor, persons: int) -> Tensor:
    """People (N·M, C, T, V) -> clips (N, C)."""
    return x.mean((2, 3)).view(-1, persons, x.shape[1]).mean(1)


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights away from their start, where α = 0 and γ = 1e-6 would hide differences; graphs stay."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var") or (value.dim() == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and not name.endswith("PA") and name != "A":
                value.normal_(
                    0, max(1, value[:1].numel()) ** -0.5 if value.dim() > 1 else 0.1, generator=generator
                )
    return net
