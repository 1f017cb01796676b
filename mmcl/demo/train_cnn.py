"""Training the demo's CNN: a ShuffleNet that names the held object in a montage (rule ``train_demo_cnn``)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mmcl.demo.learning import augment, batches, begin
from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import Pictures

log = logging.getLogger(__name__)

SETTINGS = {
    "seed": 0,
    "architecture": "shufflenet_v2_x0_5",
    "image_size": 240,
    "epochs": 12,
    "batch": 48,
    "learning_rate": 3e-3,
    "weight_decay": 0.02,
    "warmup_epochs": 1,
}

NOWHERE = np.full((5, 2), np.nan)


def train_cnn(pictures: Path, output: Path, settings: dict, threads: int = 1) -> list[float]:
    """Train from random weights and write a state dict that ``mmcl.models.cnn.open_cnn`` opens.

    Args:
        pictures: sealed ``mmcl.training_pictures/2``.
        output: the ``.safetensors`` file.
        settings: see ``SETTINGS``; ``architecture`` is a torchvision classifier.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    import torch
    from safetensors.torch import save_file
    from torch.nn.functional import cross_entropy

    from mmcl.models.cnn import open_cnn, shrink
    from mmcl.training.adamw import adamw

    rng, place = begin(settings, threads)
    cnn = open_cnn(workflow_settings(settings)).to(place, memory_format=torch.channels_last).train()
    table = Pictures(pictures)
    images = np.stack([shrink(image, settings["image_size"]) for image in table.montages()])
    labels = torch.tensor([KINDS.index(fact.object) for fact in table.facts()])
    optimizer, schedule = adamw(cnn, settings, len(images) // settings["batch"])
    history = []
    for epoch in range(settings["epochs"]):
        losses = []
        for rows in batches(len(images), settings["batch"], rng):
            batch = torch.from_numpy(np.stack([augment(images[row], NOWHERE, rng)[0] for row in rows]))
            loss = cross_entropy(cnn(batch.to(place)), labels[rows].to(place), label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
        log.info("epoch %d of %d: loss %.3f", epoch + 1, settings["epochs"], history[-1])
    output.parent.mkdir(parents=True, exist_ok=True)
    # in full precision: 1.5 MB, and batch normalisation's variances stay exact
    save_file({key: value.contiguous() for key, value in cnn.net.state_dict().items()}, output)
    return history


def workflow_settings(settings: dict, weights: str | None = None, feature: str = "logits") -> dict:
    """The ``cnn`` settings under which the workflow opens what ``train_cnn`` made."""
    return {
        "architecture": settings["architecture"],
        "weights": weights,
        "sha256": None,
        "num_classes": len(KINDS),
        "feature": feature,
        "image_size": settings["image_size"],
    }
