"""Person detectors of torchvision (BSD-3-Clause): Faster R-CNN (S. Ren et al., NeurIPS 2015) on three backbones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmcl.ahead import upload
from mmcl.naming import find_weights
from mmcl.settings.video import DetectorSettings
from mmcl.video import weights
from mmcl.video.detect import CHUNK, MOST, alike

if TYPE_CHECKING:
    import torch

PERSON = 1
"""0 is the background."""
COCO_CLASSES, COCO_OUTPUTS = 80, 91
"""torchvision numbers COCO's classes as COCO does, up to 90 with ten unused."""


class FasterRcnn:
    """See `mmcl.video.detect.Detector`. Pictures are scaled to `image_size` on their longer side."""

    what_belongs = (
        "A person detector's weights belong there: a state dict that torchvision publishes for this network on COCO "
        "(`mmcl fetch fasterrcnn_resnet50_fpn_v2` or `mmcl fetch fasterrcnn_mobilenet_v3_large_320_fpn`), or one of "
        "your own as .pt, .pth or .safetensors"
    )

    def __init__(self, settings: DetectorSettings, device: "torch.device"):
        from torchvision.models import get_model

        path = find_weights(settings.weights, settings.sha256, self.what_belongs)
        self.net = get_model(
            settings.architecture,
            weights=None,
            weights_backbone=None,
            num_classes=COCO_OUTPUTS if settings.classes == COCO_CLASSES else settings.classes + 1,
            min_size=settings.image_size,
            max_size=settings.image_size,
            box_score_thresh=settings.confidence,
            box_nms_thresh=settings.iou,
            box_detections_per_img=MOST,
        )
        what = f"{settings.architecture} with {settings.classes} class(es)"
        weights.load(self.net, weights.read_state_dict(path), path, what)
        self.net.requires_grad_(False).eval().to(device)
        self.device = device

    def people(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `mmcl.video.detect.Detector`."""
        import torch

        found: list[np.ndarray] = [np.empty(0, np.float32)] * len(images)
        # pictures of one size are not padded for each other
        for numbers in alike([image.shape for image in images], CHUNK):
            batch = upload([images[number] for number in numbers], self.device)
            with torch.inference_mode():
                seen = self.net(list(batch.permute(0, 3, 1, 2).float() / 255))
            for number, things in zip(numbers, seen, strict=True):
                rows = torch.cat([things["boxes"], things["scores"][:, None]], 1)
                found[number] = rows[things["labels"] == PERSON].cpu().numpy()
        return found
