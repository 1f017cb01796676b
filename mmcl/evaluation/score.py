"""Scores of clips by a trained stream: from the skeleton alone, or refined by answers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from mmcl import paths, store
from mmcl.colearn.inputs import answer_features
from mmcl.datasets.mapped import seen_as
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.device import pick_device
from mmcl.engine.precision import arithmetic
from mmcl.errors import WITHOUT_GPU, UserError, memory_reported
from mmcl.evaluation.metrics import confusion, per_class, summary
from mmcl.files import write_json
from mmcl.models.inference import Inference
from mmcl.settings.base import Section
from mmcl.settings.jobs import Scoring
from mmcl.skeleton.ragged import join
from mmcl.skeleton.statistics import centred_alike
from mmcl.store import Shards
from mmcl.training.data import scored_rows
from mmcl.training.predict import batch_on, skeleton_logits
from mmcl.training.trained import Trained, check_same, load_model

SCHEMA = "mmcl.scores/1"
BATCH = 256
"""Clips that are written together."""


@torch.inference_mode()
def predict(trained: Trained, clips: Sequence[np.ndarray], precision: str | None = None) -> np.ndarray:
    """Logits from skeletons alone.

    Args:
        trained: the model.
        clips: (T, M, V, 3) float32 each, in the model's joint layout; they are centred as those of the training.
            People that a clip lacks are absent (zero).
        precision: `fp32`, `tf32` or `bf16`; None for `Trained.precision`.

    Returns:
        (N, C) float32.
    """
    return _rows(trained, clips, precision, lambda network: network, len(trained.classes))


@torch.inference_mode()
def features(trained: Trained, clips: Sequence[np.ndarray], precision: str | None = None) -> np.ndarray:
    """Features from skeletons alone, those that the classifier sees and FAM aligns.

    Args:
        trained, clips, precision: see `predict`.

    Returns:
        (N, D) float32, D = `backbone.feature_dim`.
    """
    width = trained.model.backbone.feature_dim
    return _rows(trained, clips, precision, lambda network: network.features, width)


def _rows(
    trained: Trained,
    clips: Sequence[np.ndarray],
    precision: str | None,
    part: Callable[[Inference], Callable[[Tensor], Tensor]],
    width: int,
) -> np.ndarray:
    """What a part of the network makes of clips, (N, width)."""
    if not clips:
        return np.empty((0, width), np.float32)
    precision = precision or trained.precision
    device, settings = trained.device, trained.settings
    size, rows_of_all = batch_on(device), []
    with arithmetic(precision):
        for begin in range(0, len(clips), size):
            some = [centred_alike(trained.training_clips, clip) for clip in clips[begin : begin + size]]
            ragged = join(some, trained.persons).sent(device)
            rows = torch.arange(len(some), device=device)
            view = (settings.stream, trained.layout, settings.train)
            # stays there: the next clips are read while these are computed
            rows_of_all.append(skeleton_logits(part(trained.inference(precision)), ragged, rows, *view))
    found: np.ndarray = torch.cat(rows_of_all).cpu().numpy()
    return found


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
    device = trained.device
    kind = trained.settings.model.frm.input
    answer, has = answer_features(answers, names, kind, trained.settings.seed)
    refinement = trained.model.refinement
    if refinement is not None and answer.shape[1] != refinement.width:
        raise UserError(
            f"{answers.paths[0]}: answers have {answer.shape[1]} numbers, the model was trained on {refinement.width}"
        )
    refined = trained.model.refined(torch.from_numpy(logits).to(device), answer.to(device)).cpu().numpy()
    return np.where(has.numpy()[:, None], refined, logits), has.numpy()


@memory_reported(WITHOUT_GPU)
def score_stream(
    *, model: Path, skeletons: Path, output: Path, metrics: Path, settings: Scoring, threads: int = 1
) -> None:
    """Score the protocol's test clips; for a `fit` model the training subjects it was not shown.

    With `settings.best`, best_on_test.pt beside the model is scored, too: `paths.BEST_SCORES` and `BEST_METRICS` beside
    the scores. Its epoch was chosen on these very clips, as the reference's was.

    Args:
        model: of `train_stream`.
        skeletons: store `mmcl.skeletons/1`.
        output: the scores, `mmcl.scores/1`.
        metrics: JSON, see `write_scores`.
        settings: which clips are scored.
        threads: CPU threads.

    Raises:
        UserError: the model has other classes, layout or split, or a score is not finite, or
            there is no clip.
    """
    torch.set_num_threads(max(1, threads))
    files = [(model, output, metrics)]
    if settings.best:  # first, as nobody misses it where the job ends too early
        beside = output.with_name(paths.BEST_SCORES), metrics.with_name(paths.BEST_METRICS)
        files.insert(0, (model.with_name("best_on_test.pt"), *beside))
    for own, scores, figures in files:
        _score(own, skeletons, scores, figures, settings)


def _score(model: Path, skeletons: Path, output: Path, metrics: Path, settings: Scoring) -> None:
    trained = load_model(model, pick_device())
    source = SkeletonStore(skeletons)
    if trained.settings.train.init:
        # from a network that may have been trained on another data set's joints
        source = seen_as(source, trained.layout, trained.persons)
    check_same(model, trained, source, settings, "to be scored")
    write_scores(output, metrics, trained, source, settings, inputs=[model, skeletons])


def write_scores(
    output: Path,
    metrics: Path,
    trained: Trained,
    source: SkeletonStore,
    settings: Scoring,
    inputs: Sequence[Path],
) -> None:
    """Score the clips of a split; write the scores and their figures.

    Args:
        output: the scores, see `write_logits`.
        metrics: JSON with clips, left_out, the figures of `mmcl.evaluation.metrics`, per_class and confusion
            (rows are the true classes). All are of the last epoch; where training evaluated these clips after
            its epochs, best_on_test has the epoch and top1 it would have chosen.
        trained: the model.
        source: the skeletons.
        settings: which clips are scored.
        inputs: the files of model and skeletons.

    Raises:
        UserError: there is no clip, or a score is not finite.
    """
    rows = {source.names[row]: row for row in scored_rows(source, settings)}

    def logits_of(names: list[str]) -> np.ndarray:
        return predict(trained, [source.clip(rows[name]) for name in names])

    write_logits(output, source, rows, logits_of, settings, inputs)
    scores = Shards([output], SCHEMA)
    logits, labels = scores.read("logits"), scores.read("labels")
    selection = select(source, settings)
    result = {
        "clips": len(labels),
        "left_out": selection.train_left_out if settings.fit else selection.test_left_out,
        **summary(logits, labels),
        **({"best_on_test": trained.best_on_test} if trained.best_on_test else {}),
        "per_class": per_class(logits, labels, source.class_ids, source.class_names),
        "confusion": confusion(logits, labels).tolist(),
    }
    write_json(metrics, result)


def write_logits(
    output: Path,
    source: SkeletonStore,
    rows: dict[str, int],
    logits_of: Callable[[list[str]], np.ndarray],
    settings: Section,
    inputs: Sequence[Path],
) -> None:
    """Write scores, `mmcl.scores/1`: logits, labels, classes, and the counts in `confusion` (C, C).

    Args:
        output: the file.
        source: the skeletons that were scored.
        rows: clips → rows of the store.
        logits_of: clips → (N, C).
        settings: what the scores follow from beside the inputs.
        inputs: files they follow from; the first is named where a score is not finite.

    Raises:
        UserError: a score is not finite.
    """

    def work(names: list[str]) -> store.Batch:
        logits = logits_of(names)
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
        settings=settings.dump(),
        names=list(rows),
        columns=store.columns(SCHEMA, logits=(len(source.class_ids),)),
        batch_size=BATCH,
        work=work,
        inputs=inputs,
        finish=finish,
    )
