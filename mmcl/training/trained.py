"""A trained stream as it is read from its file."""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mmcl import checkpoints
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.layouts import layout as get_layout
from mmcl.models.colearn import CoLearner, build_model
from mmcl.models.inference import Inference

SCHEMA = "mmcl.model/1"


@dataclass
class Trained:
    """A model file.

    Attributes:
        model: in evaluation mode, without a CNN.
        settings: with which it was trained.
        classes, class_names: ids and names of labels 0 … C−1.
        layout: joint layout of the skeletons it takes.
        persons: people per clip.
        best_on_test: {epoch, top1} of the epoch that was best on the scored clips, if training looked at them;
            the model is the last epoch's all the same.
        cnn_parameters: learned numbers of a CNN that was trained along.
    """

    model: CoLearner
    settings: dict
    classes: list[str]
    class_names: list[str]
    layout: str
    persons: int
    best_on_test: dict | None = None
    cnn_parameters: int = 0

    @cached_property
    def inference(self) -> Inference:
        """The backbone as it is run."""
        return Inference(self.model.backbone)

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """Channels, frames and joints of a clip, (C, T, V)."""
        return 3, self.settings["train"]["window"], len(get_layout(self.layout))

    @property
    def about(self) -> dict[str, Any]:
        """What one must know to use the backbone without the rest."""
        return {
            "classes": self.classes,
            "class_names": self.class_names,
            "backbone": self.settings["model"]["backbone"],
            "stream": self.settings["stream"],
            "layout": self.layout,
            "feeder": self.settings["train"].get("feeder", "resize"),
            "window": self.settings["train"]["window"],
            "test_crop": self.settings["train"]["test_crop"],
            "persons": self.persons,
            "mmcl_version": version("mmcl"),
        }


def load_model(path: Path, place: torch.device | str = "cpu") -> Trained:
    """Read a `model.pt` of `train_stream`.

    Raises:
        UserError: no such file, or not such a model.
    """
    content = checkpoints.read(path, place)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a model of train_stream (schema {SCHEMA})")
    settings = content["settings"]
    form = ("num_classes", "layout", "persons", "picture_dim", "answer_dim")
    model = build_model(settings["model"], **{key: content[key] for key in form})
    model.load_state_dict({k: v for k, v in content["state"].items() if not k.startswith("cnn.")})
    model.eval().to(place)
    return Trained(
        model,
        settings,
        content["classes"],
        content["class_names"],
        content["layout"],
        content["persons"],
        content.get("best_on_test"),
        _cnn_parameters(content["state"]),
    )


def _cnn_parameters(state: dict[str, torch.Tensor]) -> int:
    learned = ("weight", "bias")
    return sum(
        v.numel() for k, v in state.items() if k.startswith("cnn.") and k.rpartition(".")[2] in learned
    )


def check_same(path: Path, trained: Trained, source: SkeletonStore, settings: dict, purpose: str) -> None:
    """Raise a UserError unless a model was trained for these skeletons, and for this split of them.

    Args:
        path: its file.
        trained: the model.
        source: the skeletons.
        settings: `fit`, and what `mmcl.datasets.selection.select` takes.
        purpose: what it is to do, for the message.
    """
    for what, own, given in [
        ("classes", trained.classes, source.class_ids),
        ("layout", trained.layout, source.layout),
        ("protocol", trained.settings["protocol"], settings["protocol"]),
        ("rule", trained.settings.get("rule"), settings.get("rule")),
        ("fit", trained.settings["fit"], settings["fit"]),
        ("exclude", trained.settings.get("exclude"), settings.get("exclude")),
    ]:
        if own != given:
            raise UserError(f"{path}: trained for {what} {own}, {purpose} on {given}")
