"""The accuracy of the demo's weights on drawn pictures of held-out subjects and on the demo's clips."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmcl.demo.actions import TWO_PERSONS
from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import VIDEO, Facts, Pictures, as_jpeg
from mmcl.demo.questions import QUESTIONS
from mmcl.demo.train_cnn import workflow_settings
from mmcl.device import pick_device
from mmcl.models.cnn import open_cnn
from mmcl.settings.demo import CnnDemoSettings, DemoWeightsSettings, PoseDemoSettings, YoloDemoSettings
from mmcl.settings.video import DetectorSettings, PoseSettings
from mmcl.settings.vlm import VlmSettings
from mmcl.video.boxes import choose_people, clip
from mmcl.video.decode import Recording
from mmcl.video.detect import open_detector
from mmcl.video.montage import join
from mmcl.video.pose import open_estimator
from mmcl.video.sampling import uniform_indices
from mmcl.vlm import open_vlm

ENOUGH = 0.5
"""Intersection over union from which a box counts as found."""
NEAR = 0.05
"""Part of a person's height within which a keypoint counts as right."""
MOST = 10
"""Boxes per picture that are compared with the true ones."""
CHUNK = 32


def vlm_settings(weights: Path) -> VlmSettings:
    """The settings under which the workflow opens the demo's vision-language model."""
    return VlmSettings(name="demo-blip", weights=str(weights), image_size=None, batch=CHUNK)


def detector_settings(weights: Path, settings: YoloDemoSettings) -> DetectorSettings:
    """The settings under which the workflow opens the demo's detector."""
    return DetectorSettings(
        architecture=settings.architecture, weights=str(weights), classes=1, image_size=settings.image_size
    )


def pose_settings(weights: Path, settings: PoseDemoSettings) -> PoseSettings:
    """The settings under which the workflow opens the demo's pose estimator."""
    return PoseSettings(
        architecture=settings.architecture, weights=str(weights), image_size=settings.image_size
    )


def measure_vlm(
    weights: Path, montages: Sequence[np.ndarray], facts: Sequence[Facts]
) -> dict[str, dict[str, int]]:
    """Exact answers to the first wording of every question: per question `clips` and `right`."""
    vlm = open_vlm(vlm_settings(weights), pick_device())
    asked = [question.wordings[0] for question in QUESTIONS.values()]
    right = dict.fromkeys(QUESTIONS, 0)
    for i in range(0, len(montages), CHUNK):
        answers = vlm.answer(montages[i : i + CHUNK], asked)
        for (name, question), answer in zip(QUESTIONS.items(), answers, strict=True):
            truth = [question.answer(fact) for fact in facts[i : i + CHUNK]]
            right[name] += sum(a == b for a, b in zip(answer.text, truth, strict=True))
    return {name: {"clips": len(montages), "right": count} for name, count in right.items()}


def measure_cnn(
    weights: Path, settings: CnnDemoSettings, montages: Sequence[np.ndarray], facts: Sequence[Facts]
) -> dict[str, int]:
    """How often the CNN classifies the held object correctly: `clips`, `right`."""
    device = pick_device()
    cnn = open_cnn(workflow_settings(settings, weights)).eval().to(device)
    right = 0
    for i in range(0, len(montages), CHUNK):
        batch = torch.from_numpy(np.stack(montages[i : i + CHUNK])).to(device)
        with torch.inference_mode():
            named = cnn(batch).argmax(1).tolist()
        right += sum(KINDS[n] == fact.object for n, fact in zip(named, facts[i : i + CHUNK], strict=True))
    return {"clips": len(montages), "right": right}


def measure_detector(
    weights: Path, settings: YoloDemoSettings, frames: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, int]:
    """Compare found people with the true boxes.

    Args:
        weights: of the detector.
        settings: with which it was trained.
        frames: pictures (H, W, 3) with true boxes (M, 4).

    Returns:
        `frames`; `people` and how many of them are `found` (IoU ≥ 0.5); `pairs`, frames with two
        people, and in how many `both` are found; how many boxes are `too_many`.
    """
    detector = open_detector(detector_settings(weights, settings), pick_device())
    figures = dict.fromkeys(("frames", "people", "found", "pairs", "both", "too_many"), 0)
    for i in range(0, len(frames), CHUNK):
        chunk = frames[i : i + CHUNK]
        for (_, true), people in zip(chunk, detector.people([image for image, _ in chunk]), strict=True):
            people = people[:MOST]
            taken = matched(true, people[:, :4])
            figures["frames"] += 1
            figures["people"] += len(true)
            figures["found"] += taken
            figures["pairs"] += len(true) == 2
            figures["both"] += len(true) == 2 == taken
            figures["too_many"] += len(people) - taken
    return figures


def measure_pose(
    weights: Path,
    settings: PoseDemoSettings,
    frames: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> dict[str, float]:
    """Compare found keypoints with the true ones, also of those that are hidden but inside the picture.

    Args:
        weights: of the pose estimator.
        settings: with which it was trained.
        frames: pictures (H, W, 3) with true boxes (M, 4) and keypoints (M, 17, 2).

    Returns:
        `people` and how many of them are `found` (IoU ≥ 0.5); `keypoints` of these, how many are `near`
        (within 5 % of the height of the person's box), the `median_px` and `mean_px` of their errors, and the
        largest of the 17 keypoints' medians, `worst_median_px`.
    """
    estimator = open_estimator(pose_settings(weights, settings), pick_device())
    people = 0
    errors: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    for i in range(0, len(frames), CHUNK):
        chunk = frames[i : i + CHUNK]
        found = estimator.poses([image for image, _, _ in chunk])
        for (image, boxes, keypoints), (found_boxes, poses) in zip(chunk, found, strict=True):
            people += len(boxes)
            for box, true in zip(boxes, keypoints, strict=True):
                overlaps = [overlap(box, other[:4]) for other in found_boxes]
                if not overlaps or max(overlaps) < ENOUGH:
                    continue
                inside = ((true > 0) & (true < image.shape[1::-1])).all(1)
                apart = np.linalg.norm(poses[int(np.argmax(overlaps)), :, :2] - true, axis=1)
                errors.append(np.where(inside, apart, np.nan))
                parts.append(apart[inside] / (box[3] - box[1]))
    each = np.stack(errors)
    apart = each[np.isfinite(each)]
    return {
        "people": people,
        "found": len(errors),
        "keypoints": len(apart),
        "near": int((np.concatenate(parts) < NEAR).sum()),
        "median_px": round(float(np.median(apart)), 2),
        "mean_px": round(float(apart.mean()), 2),
        "worst_median_px": round(float(np.nanmedian(each, axis=0).max()), 2),
    }


def matched(true: np.ndarray, found: np.ndarray) -> int:
    """How many true boxes (M, 4) have a found box (n, 4) of their own with IoU ≥ 0.5, most confident first."""
    left = list(range(len(true)))
    for box in found:
        overlaps = [overlap(true[k], box) for k in left]
        if overlaps and max(overlaps) >= ENOUGH:
            left.pop(int(np.argmax(overlaps)))
    return len(true) - len(left)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes xyxy (4,)."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = float(np.prod(np.maximum(sides, 0)))
    return both / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)


def measure_pictures(pictures: Path, weights: Path, settings: DemoWeightsSettings) -> dict[str, Any]:
    """All figures on a store of training pictures.

    Args:
        pictures: sealed `mmcl.training_pictures/2` of subjects that no training saw.
        weights: the folder with `vlm/`, `cnn.safetensors`, `detector.safetensors` and `pose.safetensors`.
        settings: with which they were trained.
    """
    table = Pictures(pictures)
    facts, montages = table.facts(), list(table.montages())
    return {
        "vlm": measure_vlm(weights / "vlm", montages, facts),
        "cnn": measure_cnn(weights / "cnn.safetensors", settings.cnn, montages, facts),
        "detector": measure_detector(
            weights / "detector.safetensors", settings.detector, list(table.frames())
        ),
        "pose": measure_pose(weights / "pose.safetensors", settings.pose, list(table.people())),
    }


def measure_recordings(folder: Path, weights: Path, settings: DemoWeightsSettings) -> dict[str, Any]:
    """All figures on a drawn data set, from its videos, with the boxes of the detector.

    Args:
        folder: a data set of `draw_dataset`: `videos/`, and `drawn.json` with every clip's object and boxes. Damaged
            clips are left out.
        weights: the folder with `vlm/`, `cnn.safetensors` and `detector.safetensors`.
        settings: with which they were trained.

    Returns:
        `detector` as of `measure_detector` over five frames per clip; `vlm` and `cnn` with `clips` and `right` for the
        questions that `drawn.json` answers, on the clips with a montage.
    """
    drawn = json.loads((folder / "drawn.json").read_text())
    ending = "_rgb.avi" if drawn["settings"]["form"] == "ntu" else "_color.avi"
    path = weights / "detector.safetensors"
    detector = open_detector(detector_settings(path, settings.detector), pick_device())
    frames: list[tuple[np.ndarray, np.ndarray]] = []
    montages, facts = [], []
    for record in drawn["clips"]:
        if record["damage"]:
            continue
        recording = Recording(folder / "videos" / f"{record['name']}{ending}")
        chosen = uniform_indices(recording.frames, VIDEO.count)
        images = recording.read(chosen)
        pictures = [images[i] for i in chosen]
        frames += zip(pictures, (np.array(record["boxes"][i], np.float32) for i in chosen), strict=True)
        crops = []
        for picture, people in zip(pictures, detector.people(pictures), strict=True):
            found = choose_people(people[:MOST], record["action"] in TWO_PERSONS)
            box = clip(found[0], picture.shape[1], picture.shape[0]) if found else None
            if box is not None:
                crops.append(as_jpeg(picture[box[1] : box[3], box[0] : box[2]]))
        if len(crops) == len(chosen):
            montages.append(as_jpeg(join(crops, VIDEO.montage)))
            known = {key: record[key] for key in ("action", "subject", "camera", "object", "persons")}
            facts.append(Facts(**known, hand_at_head=False, hand_at_foot=False))
    vlm = measure_vlm(weights / "vlm", montages, facts)
    return {
        "detector": measure_detector(path, settings.detector, frames),
        "vlm": {name: count for name, count in vlm.items() if not name.startswith("touching")},
        "cnn": measure_cnn(weights / "cnn.safetensors", settings.cnn, montages, facts),
    }
