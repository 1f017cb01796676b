"""What a trained stream says of clips: from the skeleton alone, or refined by answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from mmcl import checkpoints, device, store
from mmcl.datasets.prepare import SCHEMA as SKELETONS
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import fit_split, split
from mmcl.errors import UserError
from mmcl.evaluation.metrics import hits, per_class, summary
from mmcl.files import write_json
from mmcl.models.colearn import CoLearner, build_model
from mmcl.skeleton.ragged import join
from mmcl.store import Shards
from mmcl.training.features import answer_features
from mmcl.training.loader import centre_view
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
    """

    model: CoLearner
    settings: dict
    classes: list[str]
    class_names: list[str]
    layout: str
    persons: int


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
        model, settings, content["classes"], content["class_names"], content["layout"], content["persons"]
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
        x = centre_view(ragged, rows, settings["stream"], trained.layout, settings["train"])
        logits.append(trained.model(x).float().cpu().numpy())
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
        metrics: JSON with clips, left_out, top1, top5, mean_class_accuracy, per_class.
        settings: `protocol`, `fit`, `version`.
        threads: CPU threads.

    Raises:
        UserError: the model knows other classes, layout or split than asked for, or there is no clip.
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
    wanted = _wanted(settings, source.subject, source.camera, source.setup)
    rows = {source.names[row]: row for row in wanted.nonzero()[0]}
    if not rows:
        raise UserError(f"{skeletons}: no clip to score for protocol {settings['protocol']}")

    def work(names: list[str]) -> store.Batch:
        logits = predict(trained, [source.clip(int(rows[name])) for name in names])
        labels = source.labels[[rows[name] for name in names]]
        return store.Batch(names, {"logits": logits, "labels": labels}, {})

    def finish(file: h5py.File) -> None:
        for key, values in (("id", source.class_ids), ("name", source.class_names)):
            file.create_dataset(f"classes/{key}", data=np.array(values, dtype=object), dtype=store.TEXT)

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
        inputs=[model, skeletons],
        finish=finish,
    )
    scores = Shards([output], SCHEMA)
    logits, labels = scores.read("logits"), scores.read("labels")
    table = per_class(hits(logits, labels), labels, len(source.class_ids))
    result = {
        "clips": len(labels),
        "left_out": _left_out(source, settings),
        **summary(logits, labels),
        "per_class": [
            {"id": i, "name": name, "clips": clips, "top1": accuracy}
            for i, name, (clips, accuracy) in zip(source.class_ids, source.class_names, table, strict=True)
        ],
    }
    write_json(metrics, result)


def _wanted(settings: dict, subject: np.ndarray, camera: np.ndarray, setup: np.ndarray) -> np.ndarray:
    train, test = split(settings["protocol"], subject, camera, setup)
    return fit_split(subject, train)[1] if settings["fit"] else test


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
