"""A trained stream as it is read from its file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from mmcl import __version__, checkpoints
from mmcl.colearn.learner import CoLearner, build_model
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.models.inference import Inference
from mmcl.settings.base import Count, Items, Persons, Section
from mmcl.settings.explain import validated
from mmcl.settings.jobs import Scoring, StreamTraining
from mmcl.skeleton.statistics import TrainingClips
from mmcl.state_dict import check_finite

SCHEMA = "mmcl.model/1"
CNN = "fam.cnn."
"""Prefix of the state of a CNN that was trained along."""


class ModelForm(Section):
    """The sizes that a model is built for beside its settings; they stand in the model file."""

    num_classes: Count
    layout: str
    persons: Persons
    shapes: dict[str, Items[Count]]
    """Input of a term → shape of one clip's value."""

    @property
    def sizes(self) -> dict[str, Any]:
        """As arguments of `build_model`."""
        return {name: getattr(self, name) for name in ModelForm.model_fields}


class BestOnTest(Section):
    """The epoch that was best on the scored clips."""

    epoch: Count
    top1: float = Field(ge=0, le=100)


class ModelFile(ModelForm):
    """What a model file holds beside its schema and its weights."""

    settings: StreamTraining
    versions: dict[str, str]
    classes: Items[str]
    class_names: Items[str]
    best_on_test: BestOnTest | None = None
    training_clips: TrainingClips | None = None

    @model_validator(mode="after")
    def _classes_agree(self) -> "ModelFile":
        for key in ("classes", "class_names"):
            if len(getattr(self, key)) != self.num_classes:
                raise ValueError(f"num_classes: {self.num_classes} with {len(getattr(self, key))} {key}")
        if len(set(self.classes)) < self.num_classes:
            raise ValueError("classes: an id is there twice")
        return self


@dataclass
class Trained:
    """A model file.

    Attributes:
        model: in evaluation mode, without a CNN.
        settings: with which it was trained.
        classes, class_names: ids and names of labels 0 … C−1.
        layout: joint layout of the skeletons that it takes.
        persons: people per clip.
        best_on_test: {epoch, top1} of the epoch that was best on the scored clips, if they were scored during
            training; the model is the last epoch's all the same.
        cnn_parameters: learned numbers of a CNN that was trained along.
        training_clips: what the skeletons of the training look like; None in models of earlier versions.
    """

    model: CoLearner
    settings: StreamTraining
    classes: list[str]
    class_names: list[str]
    layout: str
    persons: int
    best_on_test: dict[str, float] | None
    cnn_parameters: int
    training_clips: TrainingClips | None = None
    _inference: dict[bool, Inference] = field(default_factory=dict, init=False, repr=False)

    def inference(self, precision: str) -> Inference:
        """The backbone in the form for inference, made once: with `bf16` its blocks are in bfloat16.

        Between `fp32` and `tf32` the context decides in which it runs, see `mmcl.engine.precision.arithmetic`.
        """
        half = precision == "bf16"
        if half not in self._inference:
            self._inference[half] = Inference(self.model.backbone, torch.bfloat16 if half else None)
        return self._inference[half]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def precision(self) -> str:
        """What its clips are scored in: that of the training, and `tf32` for `bf16`.

        Scoring takes seconds, and three digits more leave no doubt about what a network learned.
        """
        stated = self.settings.train.precision
        return "tf32" if stated == "bf16" else stated

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """Channels, frames and joints of a clip, (C, T, V)."""
        return 3, self.settings.train.window, len(get_layout(self.layout))

    @property
    def about(self) -> dict[str, Any]:
        """What is needed to use the backbone without the rest, as values of JSON."""
        return {
            "classes": self.classes,
            "class_names": self.class_names,
            "backbone": self.settings.model.backbone,
            "stream": self.settings.stream,
            "layout": self.layout,
            "feeder": self.settings.train.feeder,
            "window": self.settings.train.window,
            "test_crop": self.settings.train.test_crop,
            "persons": self.persons,
            "mmcl_version": __version__,
        }


def load_model(path: Path, device: torch.device | str = "cpu") -> Trained:
    """Read a `model.pt` of `train_stream`.

    Args:
        path: the file.
        device: where the model is put.

    Raises:
        UserError: no such file, damaged, not such a model; a part is missing or does not fit the others; a weight is
            not finite.
    """
    content = checkpoints.read(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a model of train_stream (schema {SCHEMA})")
    about = {key: value for key, value in content.items() if key not in ("schema", "state")}
    file = validated(ModelFile, about, path)
    settings, state = file.settings, checkpoints.tensors(content, path)
    fam = settings.model.fam
    # a CNN that was trained along is not built
    along = CNN if fam.enabled and not fam.cnn.frozen else ()
    cnn = {name: value for name, value in state.items() if name.startswith(along)}
    own = {name: value for name, value in state.items() if name not in cnn}

    def build() -> CoLearner:
        return build_model(settings.model, **file.sizes, label_smoothing=settings.train.label_smoothing)

    checkpoints.check_state(own, build, path)
    check_finite(path, cnn)
    model = build()
    model.load_state_dict(own)
    model.eval().to(device)
    return Trained(
        model,
        settings,
        list(file.classes),
        list(file.class_names),
        file.layout,
        file.persons,
        file.best_on_test.dump() if file.best_on_test else None,
        _cnn_parameters(cnn),
        file.training_clips,
    )


def _cnn_parameters(state: dict[str, Tensor]) -> int:
    named = [(name.rpartition(".")[2], value) for name, value in state.items()]
    return sum(value.numel() for entry, value in named if entry in ("weight", "bias"))


def check_same(
    path: Path, trained: Trained, source: SkeletonStore, settings: StreamTraining | Scoring, purpose: str
) -> None:
    """Raise a UserError unless a model was trained for these skeletons, and for this split of them.

    Args:
        path: its file.
        trained: the model.
        source: the skeletons.
        settings: of what is to be done.
        purpose: what it is to do, for the message.
    """
    for what, own, given in [
        ("classes", trained.classes, source.class_ids),
        ("layout", trained.layout, source.layout),
        *(
            (key, getattr(trained.settings, key), getattr(settings, key))
            for key in ("protocol", "rule", "fit", "exclude")
        ),
    ]:
        if own != given:
            raise UserError(f"{path}: trained for {what} {_shown(own)}, {purpose} on {_shown(given)}")


def _shown(value: Any) -> Any:
    return value.dump() if isinstance(value, Section) else value
