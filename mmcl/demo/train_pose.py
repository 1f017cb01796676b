"""Training the demo's pose estimator: the demo's detector with a head for keypoints.

The detector finds people already, so what remains to be learned is where their joints are. Network and loss are of
ultralytics (AGPL-3.0).
"""

from pathlib import Path

import numpy as np

from mmcl.demo.learning import begin
from mmcl.demo.pictures import Pictures
from mmcl.demo.train_detector import Example, YoloTask, train_yolo
from mmcl.engine.resume import Mark
from mmcl.errors import UserError
from mmcl.naming import sha256
from mmcl.settings.demo import DemoWeightsSettings, PoseDemoSettings
from mmcl.video.detect import letterbox
from mmcl.video.pose import KEYPOINTS, YoloPose
from mmcl.video.weights import read_weights

HEAD = ".cv4."
"""Part of the names of the keypoint head's weights."""
TOLERANCE = 0.1
"""σ of all keypoints, in parts of a person's size, in place of COCO's, 0.025 to 0.107. The loss
1 − exp(−d² / (8 σ² s²)) is flat where d is many times σ s. With an eye's 0.025, one that a network without pre-training
has first placed at a hand stays there."""


def train_pose(
    pictures: Path,
    output: Path,
    settings: DemoWeightsSettings,
    work: Path,
    threads: int,
    detector: Path | None = None,
) -> list[float]:
    """Train and write a state dict that `mmcl.video.pose.open_estimator` opens.

    Args:
        pictures: sealed `mmcl.training_pictures/2`.
        output: the `.safetensors` file, in half precision.
        settings: of the demo's networks.
        work: a folder for the state of an unfinished training.
        threads: CPU threads of torch.
        detector: the demo's detector, from which the training starts; the one beside `output` by default.

    Returns:
        The mean loss of every epoch.

    Raises:
        UserError: the detector is another network than the pose estimator without its head.
    """
    rng, device = begin(settings.seed, threads)
    model = YoloPose.build(settings.pose.architecture, 1)
    model.kpt_oks_sigmas = [TOLERANCE] * KEYPOINTS  # for ultralytics' loss
    start = detector or output.with_name("detector.safetensors")
    state = read_weights(start).tensors
    lacks = model.load_state_dict({key: x.float() for key, x in state.items()}, strict=False)
    if lacks.unexpected_keys or not all(HEAD in key for key in lacks.missing_keys):
        raise UserError(f"{start}: is no detector of the body of {settings.pose.architecture}")
    table = Pictures(pictures)
    task = YoloTask(
        "pose", model, _examples(table, settings.pose, rng), settings.pose, settings.seed, rng, device
    )
    inputs = {"pictures": table.store.fingerprint, "start": sha256(start)}
    mark = Mark({"seed": settings.seed, **settings.pose.dump()}, inputs)
    return train_yolo(task, settings.pose, output, work, mark)


def _examples(table: Pictures, settings: PoseDemoSettings, rng: np.random.Generator) -> list[Example]:
    """Some frames of every clip, letterboxed, with the people's boxes and keypoints in pixels."""
    examples = []
    for image, boxes, keypoints in table.people():
        if rng.random() < settings.frames_per_clip / 5:
            picture, (scale, left, top) = letterbox(image, settings.image_size)
            margin = np.array([left, top], np.float32)
            examples.append(Example(picture, boxes * scale + np.tile(margin, 2), keypoints * scale + margin))
    return examples
