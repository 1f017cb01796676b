"""Recognition of actions in recordings by trained models: the best classes, clip by clip."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch

from mmcl.datasets import open_reader, reader_class, reader_settings, reads_file
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.names import clip_name
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.ensemble import fuse
from mmcl.evaluation.score import BATCH, predict
from mmcl.settings.dataset import ReaderSettings
from mmcl.skeleton.mapping import map_joints
from mmcl.training.trained import Trained, load_model


@dataclass
class Recordings:
    """Skeletons of clips, of a store or of recordings.

    Attributes:
        layout: their joint layout.
        names: the clips.
        read: name -> (T, M, V, 3) float32, centred; raises UserError where a clip cannot be used.
    """

    layout: str
    names: list[str]
    read: Callable[[str], np.ndarray]


class Prediction(NamedTuple):
    """A class that a clip is recognised as, with its softmax score."""

    class_id: str
    class_name: str
    score: float


def open_recordings(
    path: Path, reader: str | None = None, options: dict[str, Any] | None = None, names: Sequence[str] = ()
) -> Recordings:
    """Open a store of skeletons, or recordings in a data set's own form.

    Args:
        path: store `mmcl.skeletons/1`; with `reader` a folder of recordings, or one of them.
        reader: a data set's reader, see `mmcl.settings.tables.READERS`.
        options: of the reader.
        names: only these clips; all if there are none.

    Raises:
        UserError: nothing to read there, or no clip of a name.
    """
    recordings = (
        _of_store(path) if reader is None else _of_folder(path, reader_settings(reader, options or {}))
    )
    names = [clip_name(name) for name in names]
    if unknown := sorted(set(names) - set(recordings.names)):
        raise UserError(f"{path}: has no clip {', '.join(unknown)}")
    if names:
        recordings.names = list(names)
    return recordings


def _of_store(path: Path) -> Recordings:
    store = SkeletonStore(path)
    rows = {name: row for row, name in enumerate(store.names)}

    def read(name: str) -> np.ndarray:
        if name in store.failed:
            raise UserError(store.failed[name])
        return store.clip(rows[name])

    return Recordings(store.layout, [*store.names, *store.failed], read)


def _of_folder(path: Path, settings: ReaderSettings) -> Recordings:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    one = path.is_file() and not reads_file(reader_class(settings.reader))
    folder = path.parent if one else path
    reader = open_reader(settings, folder)
    # the name alone may keep a clip out of training and scoring; to recognise it, its skeleton is enough
    entries = {entry.name: entry for entry in list_clips(reader) if entry.skeleton}
    if one:
        entries = {name: entry for name, entry in entries.items() if folder / entry.skeleton == path}
        if not entries:
            raise UserError(f"{path}: no recording for the reader {settings.reader}. {reader.what_belongs}")
    return Recordings(
        reader.layout, list(entries), lambda name: read_recording(reader.read_clip, entries[name])
    )


@dataclass
class Recogniser:
    """Trained streams that recognise together, as an ensemble does: S = Σ_k w_k z_k / Σ_k w_k on raw logits z_k.

    Attributes:
        models: K trained streams of the same classes, joints and people.
        weights: K numbers.
    """

    models: Sequence[Trained]
    weights: Sequence[float] = field(default=(1.0,))

    @classmethod
    def load(cls, paths: Sequence[Path], weights: Sequence[float], device: torch.device) -> "Recogniser":
        """Read the models.

        Raises:
            UserError: one cannot be read, has other classes or joints than the first, or all weights are zero.
        """
        models = [load_model(path, device) for path in paths]
        for path, model in zip(paths, models, strict=True):
            if (model.classes, model.layout) != (models[0].classes, models[0].layout):
                raise UserError(f"{path}: has other classes or joints than {paths[0]}")
        if not sum(weights):
            raise UserError(f"{paths[0]}: all fusion weights are zero")
        return cls(models, weights)

    @property
    def first(self) -> Trained:
        """The first model, whose classes and joints are those of all."""
        return self.models[0]

    def scores(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Softmax scores (N, C) of clips (T, M, V, 3) in the models' joint layout."""
        logits = np.stack([predict(model, clips) for model in self.models])
        return _softmax(fuse(logits, self.weights) / sum(self.weights))


def recognise(
    recogniser: Recogniser, recordings: Recordings, top: int
) -> Iterator[tuple[str, list[Prediction] | UserError]]:
    """The best classes of each clip, best first, or why it cannot be read.

    Args:
        recogniser: the models; joints of another layout are mapped to their own by name.
        recordings: clips.
        top: classes to give; all if there are no more.

    Raises:
        UserError: the models' joints cannot be made from those of the recordings.
    """
    for begin in range(0, len(recordings.names), BATCH):
        names = recordings.names[begin : begin + BATCH]
        clips: dict[str, np.ndarray] = {}
        failed: dict[str, UserError] = {}
        for name in names:
            try:
                clip = recordings.read(name)
            except UserError as error:
                failed[name] = error
            else:
                clips[name] = map_joints(clip, recordings.layout, recogniser.first.layout)
        scores = dict(zip(clips, recogniser.scores(list(clips.values())), strict=True))
        for name in names:
            yield name, failed[name] if name in failed else _best(recogniser.first, scores[name], top)


def write_csv(
    recogniser: Recogniser, recordings: Recordings, top: int, output: TextIO, report: Callable[[str], None]
) -> None:
    """Write a table of the best classes: clip, rank, class id, class name, score; a row for each prediction.

    Args:
        recogniser: the models.
        recordings: clips.
        top: classes for each.
        output: where the table goes, clip by clip.
        report: called with a message for every clip that cannot be read.

    Raises:
        UserError: as `recognise`, or no clip could be read.
    """
    table = csv.writer(output, lineterminator="\n")
    table.writerow(("name", "rank", "class_id", "class_name", "score"))
    found, first = 0, ""
    for name, predictions in recognise(recogniser, recordings, top):
        if isinstance(predictions, UserError):
            report(f"{name}: {predictions}")
            first = first or f"{name}: {predictions}"
            continue
        found += 1
        for rank, one in enumerate(predictions, start=1):
            table.writerow((name, rank, one.class_id, one.class_name, f"{one.score:.4f}"))
    if not found:
        raise UserError(f"none of the clips could be read; the first is {first}")


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
    powers /= powers.sum(1, keepdims=True)
    return powers


def _best(trained: Trained, scores: np.ndarray, top: int) -> list[Prediction]:
    order = np.argsort(-scores, kind="stable")[:top]
    return [Prediction(trained.classes[i], trained.class_names[i], float(scores[i])) for i in order]
