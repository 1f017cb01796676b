"""What a training reads of the stores: its clips, and what is known of them besides the skeleton."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import fit_split
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.skeleton.ragged import join
from mmcl.store import Shards
from mmcl.training.features import answer_features, rgb_features
from mmcl.training.loader import TrainingData

log = logging.getLogger(__name__)


@dataclass
class Read:
    """The training clips, and where they came from.

    Attributes:
        data: the clips, on the training device.
        inputs: fingerprints of the stores.
        without: `picture` and `answer`, where the model learns from them → the clips that have none.
    """

    data: TrainingData
    inputs: list[str]
    without: dict[str, list[str]]


def read_training_data(
    source: SkeletonStore,
    settings: dict,
    montages: Sequence[str | Path],
    rgb: Sequence[str | Path],
    answers: Sequence[str | Path],
    place: torch.device,
) -> Read:
    """Read the clips that train, joined by name with pictures and answers.

    Args:
        source: store `mmcl.skeletons/1`.
        settings, montages, rgb, answers: see `train_stream`.
        place: the training device.

    Raises:
        UserError: no training clip, or FAM or FRM is on and has nothing to learn from.
    """
    fam, frm = settings["model"]["fam"], settings["model"]["frm"]
    rows = training_rows(source, settings)
    labels = settings["train"].get("labels", 1)
    if labels < 1:
        rows = labelled(rows, source, labels, settings["seed"])
    names = [source.names[row] for row in rows]
    data = TrainingData(
        names,
        join([source.clip(row) for row in rows], source.people),
        torch.from_numpy(source.labels[rows]).to(place),
        source.layout,
    )
    inputs, without = [source.fingerprint], {}
    if fam["enabled"] and not fam["cnn"]["frozen"]:
        data.montages = _shards(montages, "mmcl.montages/1", "montages")
        inputs.append(data.montages.fingerprint)
        without["picture"] = [name for name in names if name not in data.montages]
    elif fam["enabled"]:
        shards = _shards(rgb, "mmcl.rgb/1", "rgb features")
        inputs.append(shards.fingerprint)
        data.picture, data.has_picture = (part.to(place) for part in rgb_features(shards, names))
        without["picture"] = [name for name in names if name not in shards]
    if frm["enabled"]:
        shards = _shards(answers, "mmcl.answers/1", "answers")
        inputs.append(shards.fingerprint)
        found = answer_features(shards, names, frm["input"], settings["seed"])
        data.answer, data.has_answer = (part.to(place) for part in found)
        without["answer"] = [name for name in names if name not in shards]
    log.info("%d training clips, %d classes; without %s", len(names), len(source.class_ids), _counts(without))
    return Read(data, inputs, without)


def training_rows(source: SkeletonStore, settings: dict) -> list[int]:
    """Rows of the store that train: the protocol's, for `fit` without every fifth subject.

    Raises:
        UserError: there are none.
    """
    train = select(source, settings).train
    if settings["fit"]:
        train, _ = fit_split(source.subject, train)
    if not train.any():
        raise UserError(f"{source.path}: no training clip for protocol {settings['protocol']}")
    return train.nonzero()[0].tolist()


def labelled(rows: Sequence[int], source: SkeletonStore, share: float, seed: int) -> list[int]:
    """Part of each class's clips, at least one of each: those with the least sha256 of seed and name.

    What is chosen depends on nothing else, and a smaller part lies within a larger one.

    Args:
        rows: training clips.
        source: their store.
        share: part to keep.
        seed: of the run.
    """
    by_class: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        mark = hashlib.sha256(f"{seed}/{source.names[row]}".encode()).hexdigest()
        by_class[int(source.labels[row])].append((mark, row))
    kept = [sorted(marked)[: max(1, round(share * len(marked)))] for marked in by_class.values()]
    return sorted(row for marked in kept for _, row in marked)


def scored_rows(source: SkeletonStore, settings: dict) -> list[int]:
    """Rows of the store that are scored: the protocol's test clips, for `fit` the training subjects left out.

    Raises:
        UserError: there are none.
    """
    selection = select(source, settings)
    scored = fit_split(source.subject, selection.train)[1] if settings["fit"] else selection.test
    if not scored.any():
        raise UserError(f"{source.path}: no clip to score for protocol {settings['protocol']}")
    return np.flatnonzero(scored).tolist()


def _shards(paths: Sequence[str | Path], schema: str, what: str) -> Shards:
    if not paths:
        raise UserError(f"the model's settings ask for {what}, but none were given")
    return Shards([Path(path) for path in paths], schema)


def _counts(without: dict[str, list[str]]) -> str:
    return ", ".join(f"{what}: {len(clips)}" for what, clips in without.items()) or "pictures and answers"
