"""Pose estimators: they find people's joints in pictures. Which there are: `mmcl.settings.tables.ESTIMATORS`.

As in `mmcl.video.detect`, ultralytics (AGPL-3.0, optional) is imported when an estimator is opened, in the
process of the rule `estimate_poses` alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from mmcl.settings.tables import ESTIMATORS, resolve
from mmcl.settings.video import PoseSettings
from mmcl.video import detect, weights

if TYPE_CHECKING:
    import torch

LAYOUT = "coco17"
KEYPOINTS = 17
SMALL = "yolov5n-pose"

WHAT_BELONGS = (
    "A pose estimator's weights belong there: yolov8{n,s,m,l,x}-pose.pt or yolo11{n,s,m,l,x}-pose.pt as published by"
    " ultralytics (AGPL-3.0), or a network of the same architecture of your own as .pt or .safetensors;"
    " `mmcl fetch yolov8n-pose` fetches the smallest"
)


class People(NamedTuple):
    """The people in a picture, most confident first.

    Attributes:
        boxes: (n, 5) float32, box xyxy in pixels and confidence.
        keypoints: (n, 17, 3) float32 in COCO's order, x and y in pixels and confidence.
    """

    boxes: np.ndarray
    keypoints: np.ndarray


class Estimator(Protocol):
    """Finds people's joints in pictures.

    Attributes:
        what_belongs: what its weights are and where they come from, for messages.
    """

    what_belongs: ClassVar[str]

    def __init__(self, settings: PoseSettings, device: "torch.device"): ...

    def poses(self, images: Sequence[np.ndarray]) -> list[People]:
        """Per picture (H, W, 3) uint8 RGB the people in it. Pictures may differ in size."""


def estimator_class(settings: PoseSettings) -> type[Estimator]:
    """The class of the estimator that the settings name."""
    found: type[Estimator] = resolve(ESTIMATORS, settings.architecture, "pose estimator")
    return found


def open_estimator(settings: PoseSettings, device: "torch.device") -> Estimator:
    """The estimator that the settings name, with its weights.

    Raises:
        UserError: missing or unfit weights, missing package.
    """
    return estimator_class(settings)(settings, device)


class YoloPose(detect.Yolo):
    """YOLO with a head for COCO's 17 keypoints (Maji et al., "YOLO-Pose", CVPR Workshops 2022)."""

    what_belongs = WHAT_BELONGS

    def __init__(self, settings: PoseSettings, device: "torch.device"):
        super().__init__(settings, 1, device)

    @staticmethod
    def build(architecture: str, classes: int) -> Any:
        """See `Yolo`; `architecture` such as `yolov8n-pose`."""
        detect.import_ultralytics()
        from ultralytics.nn.tasks import PoseModel, yaml_model_load

        if architecture != SMALL:
            return PoseModel(f"{architecture}.yaml", nc=classes, verbose=False)
        # ultralytics has no such network: YOLOv5's body with the head of the others
        layers = yaml_model_load("yolov5n.yaml")
        levels, number, _, _ = layers["head"][-1]
        layers["head"][-1] = [levels, number, "Pose", ["nc", "kpt_shape"]]
        return PoseModel({**layers, "kpt_shape": [KEYPOINTS, 3]}, nc=classes, verbose=False)

    def poses(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Estimator`."""
        return [People(rows[:, :5], rows[:, 5:].reshape(-1, KEYPOINTS, 3)) for rows in self.find(images)]


def known_weights(settings: PoseSettings) -> PoseSettings:
    """The settings with the sha256 of the weights file.

    Raises:
        UserError: the weights are missing or others than the config states.
    """
    return weights.with_sha256(settings, estimator_class(settings).what_belongs)
