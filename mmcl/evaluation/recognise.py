"""What a trained model sees in recordings: its best classes, clip by clip."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from mmcl.datasets import open_reader, reader_class, reads_file
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.score import BATCH, Trained, predict
from mmcl.skeleton.mapping import map_joints


@dataclass
class Recordings:
    """Skeletons of clips, wherever they lie.

    Attributes:
        layout: their joint layout.
        names: the clips.
        read: name -> (T, M, V, 3) float32, centred; raises UserError where a clip cannot be used.
    """

    layout: str
    names: list[str]
    read: Callable[[str], np.ndarray]


class Guess(NamedTuple):
    """A class that a model sees in a clip, and how sure it is: softmax of its logits."""

    class_id: str
    class_name: str
    score: float


def open_recordings(
    path: Path, reader: str | None = None, options: dict[str, Any] | None = None, names: Sequence[str] = ()
) -> Recordings:
    """Open a store of skeletons, or recordings as a data set's sensor wrote them.

    Args:
        path: store `mmcl.skeletons/1`; with `reader` a folder of recordings, or one of them.
        reader: a data set's reader, see `mmcl.datasets.READERS`.
        options: of the reader.
        names: only these clips; all if there are none.

    Raises:
        UserError: nothing to read there, or no clip of a name.
    """
    dataset = {"reader": reader, "options": options or {}}
    recordings = _of_store(path) if reader is None else _of_folder(path, dataset)
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


def _of_folder(path: Path, dataset: dict[str, Any]) -> Recordings:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    one = path.is_file() and not reads_file(reader_class(dataset["reader"]))
    folder = path.parent if one else path
    reader = open_reader({**dataset, "skeletons": folder})
    # the name alone may keep a clip out of training and scoring; to recognise it, its skeleton is enough
    entries = {entry.name: entry for entry in reader.list_clips() if entry.skeleton}
    if one:
        entries = {name: entry for name, entry in entries.items() if folder / entry.skeleton == path}
        if not entries:
            raise UserError(f"{path}: no recording for the reader {dataset['reader']}. {reader.what_belongs}")
    return Recordings(reader.layout, list(entries), lambda name: reader.read_clip(entries[name]))


def recognise(
    trained: Trained, recordings: Recordings, top: int
) -> Iterator[tuple[str, list[Guess] | UserError]]:
    """The best classes of each clip, best first, or why it cannot be read.

    Args:
        trained: the model; joints of another layout are mapped to its own by name.
        recordings: clips.
        top: classes to give; all if there are no more.

    Raises:
        UserError: the model's joints cannot be made from those of the recordings.
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
                clips[name] = map_joints(clip, recordings.layout, trained.layout)
        scores = dict(zip(clips, _softmax(predict(trained, list(clips.values()))), strict=True))
        for name in names:
            yield name, failed[name] if name in failed else _best(trained, scores[name], top)


def write_csv(
    trained: Trained, recordings: Recordings, top: int, output: TextIO, tell: Callable[[str], None]
) -> None:
    """Write a table of the best classes: clip, rank, class id, class name, score; a row for each guess.

    Args:
        trained: the model.
        recordings: clips.
        top: classes for each.
        output: where the table goes, clip by clip.
        tell: is told of every clip that cannot be read.

    Raises:
        UserError: as `recognise`, or no clip could be read.
    """
    table = csv.writer(output, lineterminator="\n")
    table.writerow(("name", "rank", "class_id", "class_name", "score"))
    found = 0
    for name, guesses in recognise(trained, recordings, top):
        if isinstance(guesses, UserError):
            tell(f"{name}: {guesses}")
            continue
        found += 1
        for rank, guess in enumerate(guesses, start=1):
            table.writerow((name, rank, guess.class_id, guess.class_name, f"{guess.score:.4f}"))
    if not found:
        raise UserError("none of the clips could be read")


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(1, keepdims=True)


def _best(trained: Trained, scores: np.ndarray, top: int) -> list[Guess]:
    order = np.argsort(-scores, kind="stable")[:top]
    return [Guess(trained.classes[i], trained.class_names[i], float(scores[i])) for i in order]
