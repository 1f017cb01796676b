"""Θ of FAM: an image classifier of torchvision that gives a montage's feature (MMCL, Eq. 3)."""

import re
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from mmcl.errors import UserError
from mmcl.files import read_json
from mmcl.naming import find_weights, sha256
from mmcl.settings.model import CnnSettings
from mmcl.state_dict import check_finite, read_tensors

S = TypeVar("S", bound=CnnSettings)

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
DENSENET_OLD = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""torchvision's DenseNet files have the layer names of an older release."""
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Auxiliary heads of Inception and GoogLeNet: in FAM they get no gradient, so they are not built."""


class CNN(nn.Module):
    """A classifier with its preprocessing inside.

    Attributes:
        feature_dim: D, the length of a feature.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, image_size: int, feature_dim: int):
        super().__init__()
        self.net = net
        self.image_size = image_size
        self.feature_dim = feature_dim
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Square pictures (N, H, W, 3) uint8 → features (N, D).

        They are resized to `image_size` (bilinear with antialias, as torchvision's Resize does on pictures)
        and normalised with ImageNet's mean and standard deviation.
        """
        x = _resize(images.permute(0, 3, 1, 2), self.image_size)
        found: torch.Tensor = self.net((x.float() - self.mean) / self.std)
        return found

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model, whose CNN is Inception-V3."""
        if type(self.net).__name__ != "Inception3":
            return {}
        return {f"net.{name}": [f"inception_v3.{name}"] for name in self.net.state_dict()}


def shrink(image: np.ndarray, size: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 resized as `CNN` does it: (size, size, 3), which the CNN then leaves as it is."""
    return _resize(torch.from_numpy(image).permute(2, 0, 1), size).permute(1, 2, 0).numpy()


def _resize(images: torch.Tensor, size: int) -> torch.Tensor:
    from torchvision.transforms.v2 import functional

    found: torch.Tensor = functional.resize(images, [size, size], antialias=True)
    return found


def open_cnn(settings: CnnSettings) -> CNN:
    """Build a torchvision classifier and load its weights from a file; nothing is downloaded.

    Args:
        settings: of the network. `feature` is `logits` (N, num_classes) or `pooled`, the input of the last linear
            layer; if `pretrain` is set, the weights are not ImageNet's but of `mmcl.training.pretrain_cnn`.

    Raises:
        UserError: unknown architecture, missing or unfit weights.
    """
    path = _find(settings)
    imagenet = path is not None and not settings.pretrain
    net = _build(settings.architecture, settings.num_classes, imagenet)
    if path:
        _load(net, path, settings)
    feature_dim = settings.num_classes
    if settings.feature == "pooled":
        feature_dim = _drop_last_linear(net, settings.architecture)
    return CNN(net, settings.image_size, feature_dim)


def pretrained(settings: S, weights: Path) -> S:
    """A CNN's settings with the weights that `mmcl.training.pretrain_cnn` made for it.

    Args:
        settings: of the network; `weights`, `sha256` and `num_classes` are replaced.
        weights: the file; its classes and sha256 are in the `.json` of the same name beside it.
    """
    about = read_json(weights.with_suffix(".json"))
    found = {"weights": str(weights), "sha256": about["sha256"], "num_classes": len(about["classes"])}
    # a copy without validation, which wants `weights` to be null with `pretrain`
    return settings.model_copy(update=found)


def weights_sha256(settings: CnnSettings) -> str | None:
    """sha256 of the weights file; None for random weights."""
    path = _find(settings)
    return sha256(path) if path else None


def _find(settings: CnnSettings) -> Path | None:
    if settings.weights is None:
        return None
    what = (
        f"The weights of torchvision's {settings.architecture} belong there: the file that its "
        "documentation names for the wanted `…_Weights`, or a state dict of your own; `mmcl fetch inception_v3` and "
        "`mmcl fetch resnet34` fetch these two"
    )
    return find_weights(settings.weights, settings.sha256, what)


def _build(architecture: str, classes: int, imagenet: bool) -> nn.Module:
    from torchvision import models

    if architecture not in models.list_models(module=models):
        raise UserError(f"cnn.architecture: torchvision has no classifier {architecture}")
    options: dict[str, bool] = {}
    if architecture in ("inception_v3", "googlenet"):
        # ImageNet weights of these two expect inputs of mean and deviation 0.5: transform_input makes them
        options = {"aux_logits": False, "transform_input": imagenet, "init_weights": not imagenet}
    net: nn.Module = models.get_model(architecture, weights=None, num_classes=classes, **options)
    return net


def _load(net: nn.Module, path: Path, settings: CnnSettings) -> None:
    state = read_tensors(path)
    try:
        state = {DENSENET_OLD.sub(r"\1\2.", key): value for key, value in state.items()}
        net.load_state_dict({key: value for key, value in state.items() if not key.startswith(AUXILIARY)})
    except (RuntimeError, TypeError, AttributeError) as error:
        what = f"{settings.architecture} with {settings.num_classes} classes"
        raise UserError(f"{path}: does not fit {what}: {' '.join(str(error).split())[:300]}") from None
    check_finite(path, net.state_dict())


def _drop_last_linear(net: nn.Module, architecture: str) -> int:
    """Replace the classifier's last linear layer by the identity; returns the width of its input."""
    linear = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"cnn.feature: {architecture} has no linear layer at its end, use logits")
    name, layer = linear[-1]
    net.set_submodule(name, nn.Identity())
    return layer.in_features
