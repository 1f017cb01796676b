"""What a trained stream says of clips: from the skeleton alone, or refined by answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from mmcl import checkpoints, device, store
from mmcl.datasets.prepare import SCHEMA as SKELETONS
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import split
from mmcl.errors import UserError
from mmcl.evaluation.metrics import confusion, per_class, summary
from mmcl.files import write_json
from mmcl.layouts import layout as get_layout
from mmcl.models.colearn import CoLearner, build_model
from mmcl.models.inference import Inference
from mmcl.skeleton.ragged import join
from mmcl.store import Shards
from mmcl.training.data import scored_rows
from mmcl.training.features import answer_features
from mmcl.training.predict import skeleton_logits
from mmcl.training.train import SCHEMA as MODEL

SCHEMA = "mmcl.scores/1"
BATCH = 64


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
    """

    model: CoLearner
    settings: dict
    classes: list[str]
    class_names: list[str]
    layout: str
    persons: int
    best_on_test: dict | None = None

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
    if not isinstance(content, dict) or content.get("schema") != MODEL:
        raise UserError(f"{path}: not a model of train_stream (schema {MODEL})")
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
    )


@torch.inference_mode()
def predict(trained: Trained, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Logits from skeletons alone.

    Args:
        trained: the model.
        clips: (T, M, V, 3) float32 each, centred, in the model's joint layout. People that a clip lacks are
            absent (zero).

    Returns:
        (N, C) float32.
    """
    place = next(trained.model.parameters()).device
    settings = trained.settings
    logits = []
    for begin in range(0, len(clips), BATCH):
        ragged = join(clips[begin : begin + BATCH], trained.persons).to(place)
        rows = torch.arange(len(ragged.length), device=place)
        view = (settings["stream"], trained.layout, settings["train"])
        logits.append(skeleton_logits(trained.inference, ragged, rows, *view).cpu().numpy())
    return np.concatenate(logits) if logits else np.empty((0, len(trained.classes)), np.float32)


@torch.inference_mode()
def refine(
    trained: Trained, logits: np.ndarray, answers: Shards, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores refined by answers, S_R of equation 8.

    Args:
        trained: a model with FRM.
        logits: (N, C) of `predict`.
        answers: `mmcl.answers/1` of the same vision-language model and question as in training.
        names: the N clips.

    Returns:
        (N, C) float32, the logits themselves where a clip has no answer; and (N) bool, where it has one.

    Raises:
        UserError: the model has no FRM, or the answers do not fit it.
    """
    place = next(trained.model.parameters()).device
    kind = trained.settings["model"]["frm"]["input"]
    answer, has = answer_features(answers, list(names), kind, trained.settings["seed"])
    if trained.model.frm is not None and answer.shape[1] != trained.model.frm.phi[0].in_features:
        width = trained.model.frm.phi[0].in_features
        raise UserError(
            f"{answers.paths[0]}: answers are {answer.shape[1]} wide, the model was trained on {width}"
        )
    refined = trained.model.refined(torch.from_numpy(logits).to(place), answer.to(place)).cpu().numpy()
    return np.where(has.numpy()[:, None], refined, logits), has.numpy()


def score_stream(
    *, model: Path, skeletons: Path, output: Path, metrics: Path, settings: dict, threads: int = 1
) -> None:
    """Score the protocol's test clips; for a `fit` model the training subjects it was not shown.

    Args:
        model: of `train_stream`.
        skeletons: store `mmcl.skeletons/1`.
        output: the scores, `mmcl.scores/1`.
        metrics: JSON, see `write_scores`.
        settings: `protocol`, `fit`, `version`.
        threads: CPU threads.

    Raises:
        UserError: the model knows other classes, layout or split than asked for, or a score is not finite, or
            there is no clip.
    """
    torch.set_num_threads(max(1, threads))
    trained = load_model(model, device.pick())
    source = SkeletonStore(skeletons)
    for what, own, given in [
        ("classes", trained.classes, source.class_ids),
        ("layout", trained.layout, source.layout),
        ("protocol", trained.settings["protocol"], settings["protocol"]),
        ("fit", trained.settings["fit"], settings["fit"]),
    ]:
        if own != given:
            raise UserError(f"{model}: trained for {what} {own}, to be scored on {given}")
    write_scores(output, metrics, trained, source, settings, inputs=[model, skeletons])


def write_scores(
    output: Path,
    metrics: Path,
    trained: Trained,
    source: SkeletonStore,
    settings: dict,
    inputs: Sequence[Path],
) -> None:
    """Score the clips of a split; write the scores, and what they come to.

    Args:
        output: the scores, `mmcl.scores/1`: logits, labels, classes, and the counts in `confusion` (C, C).
        metrics: JSON with clips, left_out, the figures of `mmcl.evaluation.metrics`, per_class and confusion
            (rows are the true classes). All are of the last epoch; where training looked at these clips after
            its epochs, best_on_test has the epoch and top1 it would have chosen.
        trained: the model.
        source: the skeletons.
        settings: `protocol`, `fit`, `version`.
        inputs: the files of model and skeletons.

    Raises:
        UserError: there is no clip, or a score is not finite.
    """
    rows = {source.names[row]: row for row in scored_rows(source, settings)}

    def work(names: list[str]) -> store.Batch:
        logits = predict(trained, [source.clip(rows[name]) for name in names])
        for name, row in zip(names, logits, strict=True):
            if not np.isfinite(row).all():
                raise UserError(f"{inputs[0]}: the scores of clip {name} are not finite")
        labels = source.labels[[rows[name] for name in names]]
        return store.Batch(names, {"logits": logits, "labels": labels}, {})

    def finish(file: h5py.File) -> None:
        for key, values in (("id", source.class_ids), ("name", source.class_names)):
            file.create_dataset(f"classes/{key}", data=np.array(values, dtype=object), dtype=store.TEXT)
        file["confusion"] = confusion(file["logits"][:], file["labels"][:])

    store.write(
        output,
        schema=SCHEMA,
        settings=settings,
        names=list(rows),
        columns={
            "logits": store.Column("float32", (len(source.class_ids),)),
            "labels": store.Column("int64"),
        },
        batch_size=BATCH,
        work=work,
        inputs=inputs,
        finish=finish,
    )
    scores = Shards([output], SCHEMA)
    logits, labels = scores.read("logits"), scores.read("labels")
    result = {
        "clips": len(labels),
        "left_out": _left_out(source, settings),
        **summary(logits, labels),
        **({"best_on_test": trained.best_on_test} if trained.best_on_test else {}),
        "per_class": per_class(logits, labels, source.class_ids, source.class_names),
        "confusion": confusion(logits, labels).tolist(),
    }
    write_json(metrics, result)


def _left_out(source: SkeletonStore, settings: dict) -> list[dict[str, str]]:
    """Clips of the scored split without a usable skeleton, as far as the store tells their split."""
    listed = [{"name": name, "reason": reason} for name, reason in source.failed.items()]
    with store.opened(source.path, SKELETONS) as file:
        if "failed/subject" not in file:
            return listed
        numbers = [file[f"failed/{key}"][:] for key in ("subject", "camera", "setup")]
    train, test = split(settings["protocol"], *numbers)
    inside = train if settings["fit"] else test
    return [entry for entry, keep in zip(listed, inside, strict=True) if keep]
