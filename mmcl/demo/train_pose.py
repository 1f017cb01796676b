"""Training the demo's pose estimator: the demo's detector with a head for keypoints (rule ``train_demo_pose``).

Finding people is learnt already, so what is left to learn is where their joints are. Network and loss are
ultralytics' (AGPL-3.0), the loop is ``train_detector``'s.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmcl.demo.learning import begin
from mmcl.demo.pictures import Pictures
from mmcl.demo.train_detector import batch, fit, save, vary
from mmcl.errors import UserError

SETTINGS = {
    "seed": 0,
    "architecture": "yolov5n-pose",
    "image_size": 320,
    "frames_per_clip": 1.6,
    "epochs": 3,
    "batch": 32,
    "learning_rate": 2e-3,
    "weight_decay": 5e-4,
    "warmup_epochs": 0.2,
    "precision": "bf16",
}
HEAD = ".cv4."
"""What the names of the keypoint head's weights contain."""


def train_pose(
    pictures: Path, output: Path, settings: dict, threads: int = 1, detector: Path | None = None
) -> list[float]:
    """Train and write a state dict that ``mmcl.video.pose.open_estimator`` opens.

    Args:
        pictures: sealed ``mmcl.training_pictures/2``.
        output: the ``.safetensors`` file, in half precision.
        settings: see ``SETTINGS``.
        threads: CPU threads of torch.
        detector: the demo's detector, from which the training starts; the one beside `output` by default.

    Returns:
        The mean loss of every epoch.

    Raises:
        UserError: the detector is another network than the pose estimator without its head.
    """
    from mmcl.video.pose import YoloPose
    from mmcl.video.weights import read_state

    rng, _ = begin(settings, threads)
    model = YoloPose.build(settings["architecture"], 1)
    start = detector or output.with_name("detector.safetensors")
    state, _ = read_state(start)
    lacks = model.load_state_dict({key: x.float() for key, x in state.items()}, strict=False)
    if lacks.unexpected_keys or not all(HEAD in key for key in lacks.missing_keys):
        raise UserError(f"{start}: is no detector of the body of {settings['architecture']}")
    examples = _examples(Pictures(pictures), settings, rng)
    history = fit(model, examples, settings, rng, lambda seen: _batch([vary(*one, rng) for one in seen]))
    save(model, output)
    return history


def _examples(
    table: Pictures, settings: dict, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Some frames of every clip, letterboxed, with the people's boxes and keypoints in pixels."""
    from mmcl.video.detect import letterbox

    examples = []
    for image, boxes, keypoints in table.people():
        if rng.random() < settings["frames_per_clip"] / 5:
            picture, (scale, left, top) = letterbox(image, settings["image_size"])
            margin = np.float32([left, top])
            examples.append((picture, boxes * scale + np.tile(margin, 2), keypoints * scale + margin))
    return examples


def _batch(seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict:
    """In the form of ultralytics' loss: keypoints in parts of the picture, with a 1 for those inside of it."""
    import torch

    height, width = seen[0][0].shape[:2]
    relative = np.concatenate([keypoints for _, _, keypoints in seen]) / np.float32([width, height])
    inside = ((relative > 0) & (relative < 1)).all(-1, keepdims=True)
    made = batch([(picture, boxes) for picture, boxes, _ in seen])
    return {**made, "keypoints": torch.from_numpy(np.concatenate([relative, inside], -1)).float()}
