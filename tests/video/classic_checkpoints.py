"""Checkpoints as the repository of YOLOv5 saves them, made without it: a pickle of the whole network."""

import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import nn

from mmcl.video import yolov5_classic

COCO_ANCHORS = torch.tensor(
    [
        [[10, 13], [16, 30], [33, 23]],
        [[30, 61], [62, 45], [59, 119]],
        [[116, 90], [156, 198], [373, 326]],
    ]
)
"""Width and height in pixels."""
NAMES = {"Pyramid": "SPPF"}
"""Our names of layers that the repository calls otherwise."""


def network(size: str = "n", release: int = 6, classes: int = 80) -> yolov5_classic.Network:
    """A network with random weights; it finds many people in noise."""
    backbone = yolov5_classic.RELEASE_6 if release >= 6 else yolov5_classic.RELEASE_5
    net = yolov5_classic.Network(size, backbone, classes)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.8, 2.5)
            module.bias.data.normal_(0, 0.3)
    head = net.model[-1]
    head.anchors.copy_(COCO_ANCHORS / torch.tensor(yolov5_classic.STRIDES)[:, None, None])
    for predict in head.m:
        predict.weight.data.normal_(0, 0.3)
        bias = predict.bias.data.view(3, -1)
        bias.normal_()
        bias[:, 4:6] += 1.5  # something is there, and it is a person
    return net


def described(size: str = "n", release: int = 6, classes: int = 80) -> dict[str, Any]:
    """The table of layers that the repository keeps with the network."""
    depth, width = yolov5_classic.SIZES[size]
    head = yolov5_classic.NECK + yolov5_classic.HEAD
    return {
        "nc": classes,
        "depth_multiple": depth,
        "width_multiple": width,
        "anchors": COCO_ANCHORS.flatten(1).tolist(),
        "backbone": yolov5_classic.RELEASE_6 if release >= 6 else yolov5_classic.RELEASE_5,
        # YAML reads the word None as text
        "head": [[*row[:3], ["None" if a is None else a for a in row[3]]] for row in head],
        "ch": 3,
    }


def save(path: Path, net: nn.Module, release: int = 6, half: bool = True, **attributes: Any) -> Path:
    """Write a network as `models.yolo.Model` (until release 6) or `models.yolo.DetectionModel` (7).

    `attributes` are the whole network's, such as `yaml` and `names`.
    """
    modules = {name: ModuleType(name) for name in ("models", "models.common", "models.yolo")}

    def layer_class(name: str) -> type:
        where = "yolo" if name in ("Model", "DetectionModel", "Detect") else "common"
        module = modules[f"models.{where}"]
        if not hasattr(module, name):
            setattr(module, name, type(name, (nn.Module,), {"__module__": module.__name__}))
        return getattr(module, name)

    def theirs(layer: nn.Module) -> nn.Module:
        if not type(layer).__module__.startswith("mmcl."):
            copy = layer if not list(layer.children()) else type(layer)()
        elif isinstance(layer, yolov5_classic.Network):
            copy = layer_class("DetectionModel" if release >= 7 else "Model")()
        else:
            copy = layer_class(NAMES.get(type(layer).__name__, type(layer).__name__))()
        for name, buffer in layer.named_buffers(recurse=False):
            copy.register_buffer(name, buffer)
        for name, child in layer.named_children():
            copy.add_module(name, theirs(child))
        return copy

    tree = theirs(net)
    detect = tree.model[-1]
    detect.stride = torch.tensor([8.0, 16.0, 32.0])
    if release < 6:
        detect.register_buffer("anchor_grid", COCO_ANCHORS.view(3, 1, 3, 1, 1, 2).float())
    for name, value in attributes.items():
        setattr(tree, name, value)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(sys.modules, modules))
        torch.save({"epoch": -1, "model": tree.half() if half else tree, "ema": None}, path)
    return path
