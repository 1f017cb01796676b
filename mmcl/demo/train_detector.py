"""Training the demo's person detector: a YOLOv5n on drawn frames (rule ``train_demo_detector``).

The network and its loss are ultralytics' (AGPL-3.0); the loop is ours, so that nothing is looked up, written
to a home folder or sent anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.demo.keypoints import MIRRORED
from mmcl.demo.learning import batches, begin
from mmcl.demo.pictures import Pictures

log = logging.getLogger(__name__)

SETTINGS = {
    "seed": 0,
    "architecture": "yolov5n",
    "image_size": 320,
    "frames_per_clip": 2,
    "epochs": 3,
    "batch": 32,
    "learning_rate": 2e-3,
    "weight_decay": 5e-4,
    "warmup_epochs": 0.5,
    "precision": "bf16",
}


def train_detector(pictures: Path, output: Path, settings: dict, threads: int = 1) -> list[float]:
    """Train from random weights and write a state dict that ``mmcl.video.detect.open_detector`` opens.

    Args:
        pictures: sealed ``mmcl.training_pictures/2``.
        output: the ``.safetensors`` file, in half precision.
        settings: see ``SETTINGS``.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    from mmcl.video.detect import Yolov5

    rng, _ = begin(settings, threads)
    model = Yolov5.build(settings["architecture"], 1)
    examples = _examples(Pictures(pictures), settings, rng)
    history = fit(model, examples, settings, rng, lambda seen: batch([augment(*one, rng) for one in seen]))
    save(model, output)
    return history


def fit(
    model: Any, examples: list, settings: dict, rng: np.random.Generator, make: Callable[[list], dict]
) -> list[float]:
    """Train a network of ultralytics with its own loss; returns the mean loss of every epoch.

    Args:
        model: the network.
        examples: pictures with what is true of them.
        settings: see ``SETTINGS``.
        rng: order of the examples.
        make: a batch in the form of ultralytics' loss from some examples, augmented anew.
    """
    import torch

    from mmcl import device
    from mmcl.training.adamw import adamw
    from mmcl.video.detect import import_ultralytics

    import_ultralytics()
    from ultralytics.cfg import get_cfg

    place = device.pick()
    model.args = get_cfg()  # the gains of the losses
    model.to(place, memory_format=torch.channels_last).train()
    optimizer, schedule = adamw(model, settings, len(examples) // settings["batch"])
    history = []
    for epoch in range(settings["epochs"]):
        losses = []
        for rows in batches(len(examples), settings["batch"], rng):
            made = {key: value.to(place) for key, value in make([examples[row] for row in rows]).items()}
            with torch.autocast(place.type, torch.bfloat16, enabled=settings["precision"] == "bf16"):
                predicted = model(made["img"])
            loss, _ = model.loss(made, _in_full_precision(predicted))
            loss = loss.sum() / len(rows)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
        log.info("epoch %d of %d: loss %.3f", epoch + 1, settings["epochs"], history[-1])
    return history


def save(model: Any, output: Path) -> None:
    """Write a network's state dict in half precision."""
    from safetensors.torch import save_file

    output.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file({key: x.half() if x.is_floating_point() else x for key, x in state.items()}, output)


def _examples(
    table: Pictures, settings: dict, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Letterboxed pictures as the detector will see them, with their boxes in pixels.

    Some frames of every clip; every eighth room without anybody, as an example of nothing to find.
    """
    from mmcl.video.detect import letterbox

    examples = []
    chance = settings["frames_per_clip"] / 5
    for image, boxes in table.frames():
        if rng.random() > (chance if len(boxes) else 0.125):
            continue
        picture, (scale, left, top) = letterbox(image, settings["image_size"])
        examples.append((picture, boxes * scale + np.float32([left, top, left, top])))
    return examples


def augment(
    picture: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, scale by 0.7 to 1.5, shift, change brightness per colour.

    Args:
        picture: (H, W, 3) uint8.
        boxes: (M, 4) xyxy in pixels.

    Returns:
        Picture and boxes of the same size; boxes of which less than a third is left are dropped.
    """
    keypoints = np.empty((len(boxes), 0, 2), np.float32)
    return vary(picture, boxes, keypoints, rng)[:2]


def vary(
    picture: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``augment`` with each person's COCO keypoints (M, 17, 2), or none (M, 0, 2).

    In a mirrored picture left and right are exchanged.
    """
    import cv2

    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        keypoints = keypoints * (-1, 1) + (width, 0)
        if keypoints.shape[1]:
            keypoints = keypoints[:, MIRRORED]
    if rng.random() < 0.7:
        scale = rng.uniform(0.7, 1.5)
        shift = np.array([width, height]) * (1 - scale) * rng.uniform(0.3, 0.7, 2)
        affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        picture = cv2.warpAffine(
            np.ascontiguousarray(picture), affine, (width, height), borderValue=(114, 114, 114)
        )
        moved = boxes * scale + np.tile(shift, 2)
        inside = np.clip(moved, 0, np.tile([width, height], 2))
        kept = np.prod(inside[:, 2:] - inside[:, :2], 1) > np.prod(moved[:, 2:] - moved[:, :2], 1) / 3
        boxes, keypoints = inside[kept], (keypoints * scale + shift)[kept]
    colour = rng.uniform(0.7, 1.3) * rng.uniform(0.93, 1.07, 3)
    picture = np.clip(picture * colour, 0, 255).astype(np.uint8)
    return picture, boxes.astype(np.float32), keypoints.astype(np.float32)


def batch(seen: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    """In the form of ultralytics' loss: boxes as centre and size in parts of the picture."""
    import torch

    height, width = seen[0][0].shape[:2]
    boxes = np.concatenate([boxes for _, boxes in seen])
    owner = np.repeat(np.arange(len(seen)), [len(boxes) for _, boxes in seen])
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    relative = np.concatenate([centre, size], 1) / np.float32([width, height, width, height])
    images = torch.from_numpy(np.stack([picture for picture, _ in seen]))
    return {
        "img": images.permute(0, 3, 1, 2).float() / 255,
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.zeros(len(boxes), 1),
        "bboxes": torch.from_numpy(relative).float(),
    }


def _in_full_precision(predicted: dict) -> dict:
    """What the network gives under autocast, as float32 for the loss."""
    return {
        key: value.float() if hasattr(value, "float") else [part.float() for part in value]
        for key, value in predicted.items()
    }
