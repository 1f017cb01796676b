"""Recognition of actions in recordings by trained models: the best classes, clip by clip."""

import csv
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch

from mmcl import paths
from mmcl.datasets import EstimatedPoses, Reader, open_reader, reader_class, reader_settings, reads_file
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.listing import list_clips, read_recording
from mmcl.datasets.names import clip_name
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.ensemble import fuse
from mmcl.evaluation.score import predict
from mmcl.layouts import get_layout
from mmcl.progress import tracked
from mmcl.settings.dataset import DatasetSettings, ReaderSettings
from mmcl.skeleton.mapping import map_joints
from mmcl.skeleton.statistics import Difference, TrainingClips, centred_alike, differences
from mmcl.training.predict import batch_on
from mmcl.training.trained import Trained, load_model

log = logging.getLogger(__name__)


@dataclass
class Recordings:
    """Skeletons of clips, of a store or of recordings.

    Attributes:
        layout: their joint layout.
        names: the clips.
        read: name -> (T, M, V, 3) float32, centred; raises UserError where a clip cannot be used.
        extra: name -> what the user's own table states of the clip, column → text.
        reader, entries: of recordings, what reads them and clip → where it lies; None and empty for a store.
    """

    layout: str
    names: list[str]
    read: Callable[[str], np.ndarray]
    extra: dict[str, dict[str, str]] = field(default_factory=dict)
    reader: Reader | None = None
    entries: dict[str, ClipEntry] = field(default_factory=dict)


class Prediction(NamedTuple):
    """A class that a clip is recognised as, with its softmax score."""

    class_id: str
    class_name: str
    score: float


def open_recordings(
    path: Path,
    reader: str | None = None,
    options: dict[str, Any] | None = None,
    names: Sequence[str] = (),
    videos: Path | None = None,
) -> Recordings:
    """Open a store of skeletons, or recordings in a data set's own form.

    Args:
        path: store `mmcl.skeletons/1`; with `reader` a folder of recordings, or one of them.
        reader: a data set's reader, see `mmcl.settings.tables.READERS`.
        options: of the reader.
        names: only these clips; all if there are none.
        videos: folder of the recordings' videos.

    Raises:
        UserError: nothing to read there, or no clip of a name.
    """
    recordings = (
        _of_store(path)
        if reader is None
        else _of_folder(path, reader_settings(reader, options or {}), videos)
    )
    return _only(recordings, names, path)


def open_dataset(name: str, settings: DatasetSettings, names: Sequence[str] = ()) -> Recordings:
    """Open the recordings of a data set, whether they have labels or not.

    Args:
        name: of the data set; for the stores of its poses, if a pose estimator makes its skeletons.
        settings: of it.
        names: only these clips; all if there are none.

    Raises:
        UserError: the recordings or the poses are not there, or no clip of a name is.
    """
    poses = None
    if settings.poses:
        stores = paths.shards(paths.POSES, settings.shards, dataset=name)
        if missing := [path for path in stores if not Path(path).exists()]:
            raise UserError(f"{missing[0]}: not there; `snakemake --cores 2 {' '.join(missing)}` makes it")
        poses = EstimatedPoses(stores, settings.poses.joint_confidence)
    reader = open_reader(settings, settings.skeletons, settings.videos, poses)
    source = "video" if settings.poses else "skeleton"
    entries = [entry for entry in list_clips(reader) if getattr(entry, source)]
    return _only(_of_reader(reader, entries), names, name)


def _only(recordings: Recordings, names: Sequence[str], place: str | Path) -> Recordings:
    """The recordings with these clips alone; with all if there are no names."""
    names = [clip_name(name) for name in names]
    if unknown := sorted(set(names) - set(recordings.names)):
        raise UserError(f"{place}: has no clip {', '.join(unknown)}")
    if names:
        recordings.names = list(names)
    return recordings


def _of_reader(reader: Reader, entries: Sequence[ClipEntry]) -> Recordings:
    by_name = {entry.name: entry for entry in entries}
    return Recordings(
        reader.layout,
        list(by_name),
        lambda name: read_recording(reader.read_clip, by_name[name]),
        {entry.name: dict(entry.extra) for entry in entries if entry.extra},
        reader,
        by_name,
    )


def _of_store(path: Path) -> Recordings:
    store = SkeletonStore(path)
    rows = {name: row for row, name in enumerate(store.names)}

    def read(name: str) -> np.ndarray:
        if name in store.failed:
            raise UserError(store.failed[name])
        return store.clip(rows[name])

    return Recordings(store.layout, [*store.names, *store.failed], read)


def _of_folder(path: Path, settings: ReaderSettings, videos: Path | None) -> Recordings:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    one = path.is_file() and not reads_file(reader_class(settings.reader))
    folder = path.parent if one else path
    reader = open_reader(settings, folder, videos)
    # the name alone may keep a clip out of training and scoring; to recognise it, its skeleton is enough
    entries = [entry for entry in list_clips(reader) if entry.skeleton]
    if one:
        entries = [entry for entry in entries if folder / entry.skeleton == path]
        if not entries:
            raise UserError(f"{path}: no recording for the reader {settings.reader}. {reader.what_belongs}")
    return _of_reader(reader, entries)


@dataclass
class Recogniser:
    """Trained streams that recognise together, as an ensemble does: S = Σ_k w_k z_k / Σ_k w_k on raw logits z_k.

    Attributes:
        models: K trained streams of the same classes, joints and people.
        weights: K numbers.
        normalise: see `fuse`.
        precision: `fp32`, `tf32` or `bf16`; None for what the models' test clips were scored in.
    """

    models: Sequence[Trained]
    weights: Sequence[float] = field(default=(1.0,))
    precision: str | None = None
    normalise: bool = False

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        weights: Sequence[float],
        device: torch.device,
        precision: str | None = None,
        normalise: bool = False,
    ) -> "Recogniser":
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
        return cls(models, weights, precision, normalise)

    @property
    def first(self) -> Trained:
        """The first model, whose classes and joints are those of all."""
        return self.models[0]

    @property
    def training_clips(self) -> TrainingClips | None:
        """What the skeletons of the training look like; None if no model has kept it."""
        return next((one.training_clips for one in self.models if one.training_clips), None)

    def scores(self, clips: Sequence[np.ndarray], unchecked: bool = False) -> np.ndarray:
        """Softmax scores (N, C) of clips, the same as `mmcl predict` gives.

        Args:
            clips: (T, M, V, 3) in the models' joint layout, metres for 3-D; they are centred as those of the training.
            unchecked: whether clips that are unlike those of the training are scored all the same.

        Raises:
            UserError: a clip has another shape, values that are not finite, nobody in it, or is unlike those of the
                training.
        """
        names = [f"clip {number}" for number in range(len(clips))]
        for name, found in zip(names, self.checked(names, clips, unchecked), strict=True):
            for one in found:
                log.warning("%s: %s", name, one.message)
        return self.computed(clips)

    def checked(
        self, names: Sequence[str], clips: Sequence[np.ndarray], unchecked: bool = False, mapped: bool = False
    ) -> list[list[Difference]]:
        """Check clips that may hold anything, and tell in what each is unlike those of the training.

        Args:
            names: what messages call the clips.
            clips: see `scores`.
            unchecked: whether they may be unlike those of the training.
            mapped: whether their joints were mapped from another layout.

        Raises:
            UserError: see `scores`.
        """
        for name, clip in zip(names, clips, strict=True):
            self._check_form(name, clip)
        all_found = self.differences(clips, mapped)
        for name, found in zip(names, all_found, strict=True):
            if refused := next((one for one in found if one.refused and not unchecked), None):
                raise UserError(f"{name}: {refused.message}")
        return all_found

    def differences(self, clips: Sequence[np.ndarray], mapped: bool = False) -> list[list[Difference]]:
        """In what each clip is unlike those of the training, see `mmcl.skeleton.statistics`."""
        own = self.training_clips
        if own is None:
            return [[] for _ in clips]
        alike = [centred_alike(own, clip) for clip in clips]
        return differences(own, alike, self.first.layout, mapped)

    def _check_form(self, name: str, clip: np.ndarray) -> None:
        joints = len(get_layout(self.first.layout))
        if clip.ndim != 4 or clip.shape[2:] != (joints, 3) or not clip.size:
            raise UserError(
                f"{name}: has the shape {clip.shape}, expected (frames, people, {joints}, 3) of layout "
                f"{self.first.layout}"
            )
        if not np.isfinite(clip).all():
            raise UserError(f"{name}: has values that are not finite")
        if not clip.any():
            raise UserError(f"{name}: has nobody in it, all values are zero")

    def computed(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Softmax scores (N, C) float64 of clips that were checked."""
        logits = np.stack([predict(model, clips, self.precision) for model in self.models])
        return _softmax(fuse(logits, self.weights, self.normalise) / sum(self.weights))


class Computed(NamedTuple):
    """What became of a clip.

    Attributes:
        name: of the clip.
        row: what was computed of it, such as its scores (C), or why there is nothing.
        differences: in what it is unlike the clips of the training.
    """

    name: str
    row: np.ndarray | UserError
    differences: list[Difference]


class Recognised(NamedTuple):
    """What became of a clip.

    Attributes:
        name: of the clip.
        best: its best classes, best first, or why there are none.
        differences: in what it is unlike the clips of the training.
    """

    name: str
    best: list[Prediction] | UserError
    differences: list[Difference]


def recognise(
    recogniser: Recogniser,
    recordings: Recordings,
    top: int,
    unchecked: bool = False,
    *,
    shown: bool = False,
) -> Iterator[Recognised]:
    """Recognise clips.

    Args:
        recogniser: the models; joints of another layout are mapped to their own by name.
        recordings: clips.
        top: classes to give; all if there are no more.
        unchecked: whether clips that are unlike those of the training are recognised all the same.
        shown: whether to show the progress.

    Raises:
        UserError: the models' joints cannot be made from those of the recordings, or all of the first clips are unlike
            those of the training.
    """
    for name, row, found in compute(recogniser, recordings, recogniser.computed, unchecked, shown=shown):
        best = row if isinstance(row, UserError) else best_of(recogniser.first, row, top)
        yield Recognised(name, best, found)


def compute(
    recogniser: Recogniser,
    recordings: Recordings,
    rows_of: Callable[[list[np.ndarray]], np.ndarray],
    unchecked: bool = False,
    *,
    shown: bool = False,
) -> Iterator[Computed]:
    """Compute something of clips, a few of which are in memory at a time.

    Args:
        recogniser, recordings, unchecked, shown: see `recognise`.
        rows_of: N clips → (N, …).

    Raises:
        UserError: see `recognise`.
    """
    mapped = recordings.layout != recogniser.first.layout
    size = batch_on(recogniser.first.device)
    for begin in tracked(range(0, len(recordings.names), size), "recognising", "batches", shown=shown):
        names = recordings.names[begin : begin + size]
        clips: dict[str, np.ndarray] = {}
        failed: dict[str, UserError] = {}
        for name in names:
            try:
                clip = recordings.read(name)
            except UserError as error:
                failed[name] = error
            else:
                clips[name] = map_joints(clip, recordings.layout, recogniser.first.layout)
        found = dict(zip(clips, recogniser.differences(list(clips.values()), mapped), strict=True))
        if not unchecked:
            refused = {name: one.message for name in clips for one in reversed(found[name]) if one.refused}
            if begin == 0 and refused and len(refused) == len(clips):
                raise UserError(_all_refused(refused))
            failed |= {name: UserError(message) for name, message in refused.items()}
            clips = {name: clip for name, clip in clips.items() if name not in refused}
        rows = dict(zip(clips, rows_of(list(clips.values())), strict=True))
        for name in names:
            yield Computed(name, failed[name] if name in failed else rows[name], found.get(name, []))


def _all_refused(refused: dict[str, str]) -> str:
    name, message = next(iter(refused.items()))
    others = f" (as are the {len(refused) - 1} clips after it)" if len(refused) > 1 else ""
    return f"{name} is unlike the clips of the training{others}: {message}. --unchecked recognises it all the same"


Readable = Iterator[tuple[str, list[Prediction] | UserError]]


def reported(
    recogniser: Recogniser,
    recordings: Recordings,
    top: int,
    report: Callable[[str], None],
    unchecked: bool = False,
    *,
    shown: bool = False,
) -> Readable:
    """Recognise clips, and report which cannot be read and what is unlike the clips of the training.

    Args:
        recogniser, recordings, top, unchecked, shown: see `recognise`.
        report: called with a message for every clip that cannot be read, and for what is unlike the training's.

    Yields:
        Each clip and its best classes, best first, or why there are none.

    Raises:
        UserError: as `recognise`, or no clip could be read.
    """
    found, first = 0, ""
    unlike: dict[str, list[str]] = {}
    if recogniser.training_clips is None:
        report("the model keeps nothing of its training clips: whether these are like them is not checked")
    for name, predictions, differing in recognise(recogniser, recordings, top, unchecked, shown=shown):
        if isinstance(predictions, UserError):
            report(f"{name}: {predictions}")
            first = first or f"{name}: {predictions}"
        else:
            for one in differing:
                unlike.setdefault(one.kind, []).append(f"{name}: {one.message}")
            found += 1
        yield name, predictions
    for messages in unlike.values():
        report(f"{messages[0]} ({len(messages)} of {found} clips)")
    if not found:
        raise UserError(f"none of the clips could be read; the first is {first}")


def write_csv(
    recogniser: Recogniser,
    recordings: Recordings,
    top: int,
    output: TextIO,
    report: Callable[[str], None],
    unchecked: bool = False,
) -> None:
    """Write a table of the best classes: clip, rank, class id, class name, score; a row for each prediction.

    Further columns of the user's own table of clips follow; one that has a name of the above gets an underscore.

    Args:
        recogniser: the models.
        recordings: clips.
        top: classes for each.
        output: where the table goes, clip by clip.
        report, unchecked: see `reported`.

    Raises:
        UserError: see `reported`.
    """
    table = csv.writer(output, lineterminator="\n")
    columns = ("name", "rank", "class_id", "class_name", "score")
    further = list(dict.fromkeys(column for texts in recordings.extra.values() for column in texts))
    table.writerow([*columns, *(f"{column}_" if column in columns else column for column in further)])
    # the rows are the progress where they go to a terminal
    shown = not output.isatty()
    for name, predictions in reported(recogniser, recordings, top, report, unchecked, shown=shown):
        if isinstance(predictions, UserError):
            continue
        stated = recordings.extra.get(name, {})
        texts = [stated.get(column, "") for column in further]
        for rank, best in enumerate(predictions, start=1):
            table.writerow([name, rank, best.class_id, best.class_name, f"{best.score:.4f}", *texts])


def collected(readable: Readable, extra: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What `reported` yields, for JSON.

    Args:
        readable: of `reported`.
        extra: clip → the further columns of its table.

    Returns:
        clips [{name, classes [{id, name, score}], extra {column: text}}], failed [{name, reason}].
    """
    clips, failed = [], []
    for name, predictions in readable:
        if isinstance(predictions, UserError):
            failed.append({"name": name, "reason": str(predictions)})
            continue
        classes = [
            {"id": one.class_id, "name": one.class_name, "score": round(one.score, 4)} for one in predictions
        ]
        clips.append({"name": name, "classes": classes, "extra": dict(extra.get(name, {}))})
    return {"clips": clips, "failed": failed}


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
    powers /= powers.sum(1, keepdims=True)
    return powers


def best_of(trained: Trained, scores: np.ndarray, top: int) -> list[Prediction]:
    """The best classes of a clip by its scores (C), best first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [Prediction(trained.classes[i], trained.class_names[i], float(scores[i])) for i in order]
