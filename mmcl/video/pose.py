"""Finding people's joints in pictures: a table of pose estimators.

As in `mmcl.video.detect`, ultralytics (AGPL-3.0, optional) is imported when an estimator is opened, in the
process of the rule `estimate_poses` alone.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mmcl.errors import UserError
from mmcl.naming import find_weights, sha256
from mmcl.video import detect

if TYPE_CHECKING:
    import torch

LAYOUT = "coco17"
KEYPOINTS = 17

WHAT_BELONGS = (
    "A pose estimator's weights belong there: yolov8{n,s,m,l,x}-pose.pt or yolo11{n,s,m,l,x}-pose.pt as published by"
    " ultralytics (AGPL-3.0), or a network of the same architecture of your own as .pt or .safetensors"
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
    """Finds people's joints in pictures."""

    def poses(self, images: Sequence[np.ndarray]) -> list[People]:
        """Per picture (H, W, 3) uint8 RGB the people in it. Pictures may differ in size."""


def open_estimator(settings: dict, device: "torch.device") -> Estimator:
    """Open the estimator that `architecture` names.

    Args:
        settings: `architecture`, `weights`, `sha256`, `image_size`, `confidence`, `iou`.
        device: where it runs.

    Raises:
        UserError: unknown architecture, missing or unfit weights, missing package.
    """
    architecture = settings["architecture"]
    if architecture not in ESTIMATORS:
        raise UserError(f"poses.architecture: {architecture} is none of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[architecture]({**settings, "classes": 1}, device)


class YoloPose(detect.Yolo):
    """YOLO with a head for COCO's 17 keypoints (Maji et al., "YOLO-Pose", CVPR Workshops 2022)."""

    what_belongs = WHAT_BELONGS

    @staticmethod
    def build(architecture: str, classes: int) -> Any:
        """See `Yolo`; `architecture` such as `yolov8n-pose`."""
        detect.import_ultralytics()
        from ultralytics.nn.tasks import PoseModel, yaml_model_load

        if architecture != SMALL:
            return PoseModel(f"{architecture}.yaml", nc=classes, verbose=False)
        # ultralytics has no such network: the head of the others on YOLOv5's body
        layers = yaml_model_load("yolov5n.yaml")
        levels, number, _, _ = layers["head"][-1]
        layers["head"][-1] = [levels, number, "Pose", ["nc", "kpt_shape"]]
        return PoseModel({**layers, "kpt_shape": [KEYPOINTS, 3]}, nc=classes, verbose=False)

    def poses(self, images: Sequence[np.ndarray]) -> list[People]:
        """See `Estimator`."""
        return [People(rows[:, :5], rows[:, 5:].reshape(-1, KEYPOINTS, 3)) for rows in self.find(images)]


SMALL = "yolov5n-pose"
ESTIMATORS: dict[str, Callable[[dict, "torch.device"], Estimator]] = dict.fromkeys(
    [SMALL, *(f"{family}{size}-pose" for family in ("yolov8", "yolo11") for size in "nsmlx")], YoloPose
)
"""Setting `architecture` → what opens it."""


def known_weights(settings: dict) -> dict:
    """Estimator settings with the sha256 of the file that is really there, to go into a store's fingerprint.

    Raises:
        UserError: the weights are missing or others than the config says.
    """
    path = find_weights(settings["weights"], settings.get("sha256"), WHAT_BELONGS)
    return {**settings, "sha256": sha256(path)}
