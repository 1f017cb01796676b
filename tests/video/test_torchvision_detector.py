"""torchvision's smallest Faster R-CNN with random weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from mmcl.errors import UserError
from mmcl.settings.video import DetectorSettings
from mmcl.video import detect

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Of COCO's 91 outputs 1, the person, and 3 are likely everywhere."""
    torch.manual_seed(0)
    net = get_model(NAME, weights=None, weights_backbone=None, num_classes=91)
    predict = net.roi_heads.box_predictor
    predict.cls_score.weight.data.normal_(0, 0.05)
    predict.cls_score.bias.data[[1, 3]] = 6
    return net.state_dict()


def open_detector(path, **other):
    stated = {"architecture": NAME, "weights": str(path), "image_size": 128, **other}
    return detect.open_detector(DetectorSettings.model_validate(stated), torch.device("cpu"))


def noise(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def test_the_people_that_torchvision_finds(state, tmp_path):
    torch.save(state, tmp_path / "coco.pth")
    detector = open_detector(tmp_path / "coco.pth")
    reference = get_model(
        NAME, weights=None, weights_backbone=None, num_classes=91, min_size=128, max_size=128,
        box_score_thresh=0.25, box_nms_thresh=0.45, box_detections_per_img=1000,
    )  # fmt: skip
    reference.load_state_dict(state)
    reference.eval()
    # two of one size, and another between them
    images = [noise(0, (160, 90)), noise(1, (60, 100)), noise(2, (160, 90))]
    found = detector.people(images)
    for image, boxes in zip(images, found, strict=True):
        x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            (seen,) = reference([x])
        people = seen["labels"] == 1
        assert set(seen["labels"].tolist()) == {1, 3}
        assert boxes.dtype == np.float32
        assert len(boxes) == people.sum() > 0
        np.testing.assert_allclose(boxes[:, :4], seen["boxes"][people], atol=0.01)
        np.testing.assert_allclose(boxes[:, 4], seen["scores"][people], atol=1e-4)
        assert (np.diff(boxes[:, 4]) <= 0).all()
        height, width = image.shape[:2]
        assert boxes[:, :4].min() >= 0
        assert (boxes[:, [2, 3]] <= [width, height]).all()
    assert detector.people([]) == []


def test_weights_of_another_network(state, tmp_path):
    save_file(state, tmp_path / "coco.safetensors")
    with pytest.raises(
        UserError, match=r"coco\.safetensors: does not fit fasterrcnn_mobilenet_v3_large_320_fpn with 1 class"
    ):
        open_detector(tmp_path / "coco.safetensors", classes=1)
    torch.save({"model": state}, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match=r"checkpoint\.pth: holds neither a network nor a state dict"):
        open_detector(tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match=r"weights not found: .*x\.pth\. A person detector.*torchvision"):
        open_detector(tmp_path / "x.pth")
