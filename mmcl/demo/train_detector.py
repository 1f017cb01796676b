"""Training the demo's person detector: a YOLOv5n on drawn frames.

Network and loss are of ultralytics (AGPL-3.0), the training loop is mmcl's: nothing is downloaded, sent, or written
to a home folder.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmcl.demo.keypoints import MIRRORED
from mmcl.demo.learning import PicturesTask, begin
from mmcl.demo.pictures import Pictures
from mmcl.engine.loop import Losses, fit
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.files import written
from mmcl.settings.demo import DemoWeightsSettings, YoloDemoSettings
from mmcl.video.detect import GREY, Yolov5, import_ultralytics, letterbox


class Example(NamedTuple):
    """A picture (H, W, 3) uint8 with the true boxes (M, 4) and keypoints (M, 17, 2), or none (M, 0, 2), in pixels."""

    picture: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray


def train_detector(
    pictures: Path, output: Path, settings: DemoWeightsSettings, work: Path, threads: int
) -> list[float]:
    """Train from random weights and write a state dict that `mmcl.video.detect.open_detector` opens.

    Args:
        pictures: sealed `mmcl.training_pictures/2`.
        output: the `.safetensors` file, in half precision.
        settings: of the demo's networks.
        work: a folder for the state of an unfinished training.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    rng, device = begin(settings.seed, threads)
    model = Yolov5.build(settings.detector.architecture, 1)
    table = Pictures(pictures)
    task = YoloTask(
        "detector",
        model,
        _examples(table, settings.detector, rng),
        settings.detector,
        settings.seed,
        rng,
        device,
    )
    mark = Mark({"seed": settings.seed, **settings.detector.dump()}, {"pictures": table.store.fingerprint})
    return train_yolo(task, settings.detector, output, work, mark)


class YoloTask(PicturesTask[dict[str, Tensor]]):
    """The training of a network of ultralytics with its own loss.

    Args:
        label: of the progress bar.
        model: the network.
        examples: pictures of one size.
        settings: of the training.
        seed: of the run.
        rng: of order and augmentation.
        device: of the training.
    """

    max_gradient_norm = 10.0

    def __init__(
        self,
        label: str,
        model: nn.Module,
        examples: list[Example],
        settings: YoloDemoSettings,
        seed: int,
        rng: np.random.Generator,
        device: torch.device,
    ):
        import_ultralytics()
        from ultralytics.cfg import get_cfg

        network: Any = model
        network.args = get_cfg()  # the weights of the terms of the loss
        network.to(device, memory_format=torch.channels_last)
        self.label = label
        self.model = network
        self.examples = examples
        self.arithmetic = settings.precision
        self.device = device
        super().__init__(network, len(examples), settings, seed, rng)

    def presented(self, rows: np.ndarray) -> dict[str, Tensor]:
        """See `PicturesTask`; in the form of ultralytics' loss."""
        made = batch([augment(self.examples[row], self.rng) for row in rows])
        return {key: value.to(self.device) for key, value in made.items()}

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """See `Task`; the loss itself is computed in full precision."""
        with autocast(self.arithmetic, self.device):
            predicted = self.model(batch["img"])
        loss, _ = self.model.loss(batch, _in_full_precision(predicted))
        return Losses(loss.sum() / len(batch["img"]), {})


def train_yolo(
    task: YoloTask, settings: YoloDemoSettings, output: Path, work: Path, mark: Mark
) -> list[float]:
    """Train a network of ultralytics and write its state dict in half precision; returns the loss of every epoch."""
    processes = Processes(device=task.device)
    with fit(task, settings, target=work / task.label, mark=mark, processes=processes) as fitted:
        output.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.cpu().contiguous() for name, value in task.net.state_dict().items()}
        with written(output) as temporary:
            save_file(
                {name: x.half() if x.is_floating_point() else x for name, x in state.items()}, temporary
            )
    return [row["loss"] for row in fitted.history]


def _examples(table: Pictures, settings: YoloDemoSettings, rng: np.random.Generator) -> list[Example]:
    """Letterboxed pictures as the detector sees them, with their boxes in pixels.

    Some frames of every clip, and every eighth empty room, in which there is nothing to find.
    """
    examples = []
    chance = settings.frames_per_clip / 5
    for image, boxes in table.frames():
        if rng.random() > (chance if len(boxes) else 0.125):
            continue
        picture, (scale, left, top) = letterbox(image, settings.image_size)
        boxes = boxes * scale + np.array([left, top, left, top], np.float32)
        examples.append(Example(picture, boxes, np.empty((len(boxes), 0, 2), np.float32)))
    return examples


def augment(example: Example, rng: np.random.Generator) -> Example:
    """Mirror, scale by 0.7 to 1.5, shift, change the brightness of each colour.

    In a mirrored picture the keypoints of left and right are exchanged.

    Returns:
        A picture of the same size; people of whose box less than a third is left are dropped.
    """
    import cv2

    picture, boxes, keypoints = example
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
            np.ascontiguousarray(picture), affine, (width, height), borderValue=(GREY, GREY, GREY)
        )
        moved = boxes * scale + np.tile(shift, 2)
        inside = np.clip(moved, 0, np.tile([width, height], 2))
        kept = np.prod(inside[:, 2:] - inside[:, :2], 1) > np.prod(moved[:, 2:] - moved[:, :2], 1) / 3
        boxes, keypoints = inside[kept], (keypoints * scale + shift)[kept]
    colour = rng.uniform(0.7, 1.3) * rng.uniform(0.93, 1.07, 3)
    picture = np.clip(picture * colour, 0, 255).astype(np.uint8)
    return Example(picture, boxes.astype(np.float32), keypoints.astype(np.float32))


def batch(examples: list[Example]) -> dict[str, Tensor]:
    """In the form of ultralytics' loss, in parts of the picture: boxes as centre and size; keypoints, if there are
    any, with a 1 for those inside of it."""
    height, width = examples[0].picture.shape[:2]
    size = np.array([width, height], np.float32)
    boxes = np.concatenate([example.boxes for example in examples])
    owner = np.repeat(np.arange(len(examples)), [len(example.boxes) for example in examples])
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    relative = np.concatenate([centre, extent], 1) / np.tile(size, 2)
    images = torch.from_numpy(np.stack([example.picture for example in examples]))
    made = {
        "img": images.permute(0, 3, 1, 2).float() / 255,
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.zeros(len(boxes), 1),
        "bboxes": torch.from_numpy(relative).float(),
    }
    keypoints = np.concatenate([example.keypoints for example in examples]) / size
    if keypoints.shape[1]:
        inside = ((keypoints > 0) & (keypoints < 1)).all(-1, keepdims=True)
        made["keypoints"] = torch.from_numpy(np.concatenate([keypoints, inside], -1)).float()
    return made


def _in_full_precision(predicted: dict[str, Any]) -> dict[str, Any]:
    """The network's output under autocast, as float32 for the loss."""
    return {
        key: value.float() if hasattr(value, "float") else [part.float() for part in value]
        for key, value in predicted.items()
    }
