"""YOLOv5 with anchors, as its releases 5.0 to 7.0 have it (G. Jocher et al., github.com/ultralytics/yolov5).

A network of our own, written from the layer tables that every checkpoint carries: neither the original's code nor the
ultralytics package is needed. Modules are named so that the tensors of a checkpoint fit by name.

A CSP backbone gives feature maps at strides 8, 16 and 32, a PANet exchanges them in both directions, and at every
place of each map three anchors predict a box, whether it holds anything, and what.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmcl.errors import UserError, shown
from mmcl.video.weights import Weights, load

SIZES = {"n": (0.33, 0.25), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
"""Depth and width relative to the tables below."""

RELEASE_5: list[list[Any]] = [
    [-1, 1, "Focus", [64, 3]],
    [-1, 1, "Conv", [128, 3, 2]],
    [-1, 3, "C3", [128]],
    [-1, 1, "Conv", [256, 3, 2]],
    [-1, 9, "C3", [256]],
    [-1, 1, "Conv", [512, 3, 2]],
    [-1, 9, "C3", [512]],
    [-1, 1, "Conv", [1024, 3, 2]],
    [-1, 1, "SPP", [1024, [5, 9, 13]]],
    [-1, 3, "C3", [1024, False]],
]
RELEASE_6: list[list[Any]] = [
    [-1, 1, "Conv", [64, 6, 2, 2]],
    [-1, 1, "Conv", [128, 3, 2]],
    [-1, 3, "C3", [128]],
    [-1, 1, "Conv", [256, 3, 2]],
    [-1, 6, "C3", [256]],
    [-1, 1, "Conv", [512, 3, 2]],
    [-1, 9, "C3", [512]],
    [-1, 1, "Conv", [1024, 3, 2]],
    [-1, 3, "C3", [1024]],
    [-1, 1, "SPPF", [1024, 5]],
]
"""The backbones: layers whose input comes from (-1: the one before), how often, kind, and arguments. Of a convolution
these are channels, kernel, stride, padding; of a C3 channels and whether its bottlenecks have shortcuts."""
NECK: list[list[Any]] = [
    [-1, 1, "Conv", [512, 1, 1]],
    [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
    [[-1, 6], 1, "Concat", [1]],
    [-1, 3, "C3", [512, False]],
    [-1, 1, "Conv", [256, 1, 1]],
    [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
    [[-1, 4], 1, "Concat", [1]],
    [-1, 3, "C3", [256, False]],
    [-1, 1, "Conv", [256, 3, 2]],
    [[-1, 14], 1, "Concat", [1]],
    [-1, 3, "C3", [512, False]],
    [-1, 1, "Conv", [512, 3, 2]],
    [[-1, 10], 1, "Concat", [1]],
    [-1, 3, "C3", [1024, False]],
]
LEVELS = (17, 20, 23)
"""Layers that boxes are predicted from."""
STRIDES = (8, 16, 32)
HEAD: list[list[Any]] = [[list(LEVELS), 1, "Detect", ["nc", "anchors"]]]


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ):
        super().__init__()
        around = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, around, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x)))

    def fuse(self) -> None:
        """Take the batch norm's running statistics into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()


class Focus(nn.Module):
    """Every second row and column to channels of their own, then a convolution: (B, C, H, W) -> (B, D, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.conv = Conv(4 * inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(
            torch.cat([x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], 1)
        )
        return out


class Bottleneck(nn.Module):
    """1 × 1 and 3 × 3 convolution, with or without a shortcut around them."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels), Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """CSP block: bottlenecks on one half of the channels, the other half passes them."""

    def __init__(self, inputs: int, outputs: int, repeats: int, shortcut: bool = True):
        super().__init__()
        half = outputs // 2
        self.cv1, self.cv2, self.cv3 = Conv(inputs, half), Conv(inputs, half), Conv(2 * half, outputs)
        self.m = nn.Sequential(*[Bottleneck(half, shortcut) for _ in range(repeats)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))
        return out


class Pyramid(nn.Module):
    """SPP: the maxima over 5, 9 and 13 places beside the features; SPPF has them as one maximum over 5 thrice."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.cv1, self.cv2 = Conv(inputs, inputs // 2), Conv(inputs // 2 * 4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        maxima = [self.cv1(x)]
        for _ in range(3):
            maxima.append(functional.max_pool2d(maxima[-1], 5, 1, 2))
        out: Tensor = self.cv2(torch.cat(maxima, 1))
        return out


class Detect(nn.Module):
    """Boxes and scores at every place of each level, for three anchors."""

    anchors: Tensor

    def __init__(self, inputs: list[int], classes: int):
        super().__init__()
        self.register_buffer("anchors", torch.ones(len(inputs), 3, 2))
        self.m = nn.ModuleList(nn.Conv2d(width, 3 * (5 + classes), 1) for width in inputs)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels (B, C, H, W) -> (B, 4 + classes, places): centre and size in pixels, and scores.

        With σ of what is predicted, the place's column and row, and the level's stride: centre = (2σ - 0.5 + place) ·
        stride, size = (2σ)² · anchor; the score of a class = σ(anything is there) · σ(the class).
        """
        found = []
        for level, predict, anchors, stride in zip(levels, self.m, self.anchors, STRIDES, strict=True):
            raw: Tensor = predict(level).sigmoid()
            height, width = raw.shape[-2:]
            xy, wh, anything, classes = raw.unflatten(1, (3, -1)).split([2, 2, 1, raw.shape[1] // 3 - 5], 2)
            row = torch.arange(height, device=raw.device)[:, None].expand(height, width)
            column = torch.arange(width, device=raw.device).expand(height, width)
            centre = (2 * xy - 0.5 + torch.stack([column, row])) * stride
            size = (2 * wh).square() * (anchors * stride)[:, :, None, None]
            # (B, 3 anchors, 4 + classes, H, W)
            both = torch.cat([centre, size, anything * classes], 2)
            found.append(both.transpose(1, 2).flatten(2))
        return torch.cat(found, 2)


class Network(nn.Module):
    """YOLOv5 of one size, with the backbone of release 5 (also 4) or that of releases 6 and 7."""

    def __init__(self, size: str, backbone: list[list[Any]], classes: int):
        super().__init__()
        depth, width = SIZES[size]
        self.sources = [source for source, *_ in backbone + NECK]
        channels: list[int] = []
        self.model = nn.ModuleList()
        for source, repeats, kind, arguments in backbone + NECK:
            inputs = channels[-1] if channels else 3
            outputs = inputs
            match kind:
                case "nn.Upsample":
                    layer: nn.Module = nn.Upsample(scale_factor=2, mode="nearest")
                case "Concat":
                    layer, outputs = nn.Identity(), sum(channels[i] for i in source)
                case _:
                    outputs = math.ceil(arguments[0] * width / 8) * 8
                    layer = _layer(kind, inputs, outputs, max(1, round(repeats * depth)), arguments[1:])
            channels.append(outputs)
            self.model.append(layer)
        self.model.append(Detect([channels[i] for i in LEVELS], classes))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) RGB in [0, 1], H and W multiples of 32 -> (B, 4 + classes, places), see `Detect`."""
        maps: list[Tensor] = []
        for source, layer in zip(self.sources, self.model, strict=False):
            x = torch.cat([maps[i] for i in source], 1) if isinstance(source, list) else x
            x = layer(x)
            maps.append(x)
        out: Tensor = self.model[-1]([maps[i] for i in LEVELS])
        return out


def _layer(kind: str, inputs: int, outputs: int, repeats: int, arguments: list[Any]) -> nn.Module:
    match kind:
        case "Conv":
            return Conv(inputs, outputs, *arguments)
        case "Focus":
            return Focus(inputs, outputs, *arguments)
        case "C3":
            return C3(inputs, outputs, repeats, *arguments)
        case _:
            return Pyramid(inputs, outputs)


def is_classic(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of a YOLOv5 with anchors."""
    return any(key.endswith(".anchors") for key in tensors)


def open_network(path: Path, architecture: str, classes: int, weights: Weights) -> Network:
    """The network of a classic checkpoint, ready to look at pictures.

    Args:
        path: of the checkpoint, for messages.
        architecture: such as `yolov5m`.
        classes: number of classes.
        weights: what the checkpoint holds.

    Raises:
        UserError: it is another network, or one of another size or number of classes.
    """
    focus = "model.0.conv.conv.weight" in weights.tensors
    backbone = RELEASE_5 if focus else RELEASE_6
    size = architecture.removeprefix("yolov5")
    if weights.described is not None:
        _check_description(path, weights.described, size, backbone)
    net = Network(size, backbone, classes)
    # releases up to 5 keep the anchors a second time, in pixels
    tensors = {key: value for key, value in weights.tensors.items() if not key.endswith(".anchor_grid")}
    load(net, tensors, path, f"classic {architecture} with {classes} class(es)")
    net.eval()
    for module in net.modules():
        if isinstance(module, Conv):
            module.fuse()
    return net


def _check_description(path: Path, described: dict[str, Any], size: str, backbone: list[list[Any]]) -> None:
    """Hold the table in a checkpoint against ours: strides, shortcuts and activations are in no tensor.

    Raises:
        UserError: it describes another network.
    """
    stated = described.get("depth_multiple"), described.get("width_multiple")
    named = [name for name, numbers in SIZES.items() if _same(list(stated), list(numbers))]
    if named != [size]:
        what = (
            f"yolov5{named[0]}"
            if named
            else f"a YOLOv5 of depth {shown(stated[0])} and width {shown(stated[1])}"
        )
        raise UserError(f"{path}: is {what}, but the settings' architecture is yolov5{size}")
    activation = described.get("activation", "SiLU")
    if not isinstance(activation, str) or "SiLU" not in activation:
        raise UserError(f"{path}: has the activation {shown(activation)}; YOLOv5's is SiLU")
    for part, rows in (("backbone", backbone), ("head", NECK + HEAD)):
        table = described.get(part)
        if not isinstance(table, list) or len(table) != len(rows):
            raise UserError(
                f"{path}: its {part} is not that of YOLOv5 5.0 to 7.0: it has not {len(rows)} layers"
            )
        for number, (row, right) in enumerate(zip(table, rows, strict=True)):
            if not _same(row, right):
                raise UserError(
                    f"{path}: its {part} is not that of YOLOv5 5.0 to 7.0: layer {number} is {shown(row)}, "
                    f"expected {right}"
                )


def _same(stated: Any, right: Any) -> bool:
    """Whether a foreign value is ours, whatever else it may be; None may be the word, as YAML's own is null."""
    if isinstance(right, list):
        return (
            isinstance(stated, list)
            and len(stated) == len(right)
            and all(_same(*pair) for pair in zip(stated, right, strict=True))
        )
    if right is None:
        return stated is None or (isinstance(stated, str) and stated == "None")
    return isinstance(stated, int | float | str) and bool(stated == right)
