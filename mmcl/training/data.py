"""The clips that a training reads of the stores, and the inputs of its terms."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mmcl.colearn.inputs import Clips, open_input
from mmcl.datasets.coverage import Coverage, deciding
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import fit_split
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.settings.jobs import Scoring, StreamTraining
from mmcl.skeleton.ragged import join
from mmcl.training.loader import TrainingData

log = logging.getLogger(__name__)


def read_training_data(
    source: SkeletonStore,
    settings: StreamTraining,
    inputs: Mapping[str, Sequence[Path]],
    device: torch.device,
    workers: int,
) -> TrainingData:
    """Read the clips that train, with the inputs of the model's terms joined by name.

    Args:
        source: store `mmcl.skeletons/1`.
        settings, inputs: see `train_stream`.
        device: of the training.
        workers: processes that decode pictures; 0 for none.

    Raises:
        UserError: no training clip, or a term has nothing to learn from.
    """
    rows = training_rows(source, settings)
    if settings.train.labels < 1:
        rows = labelled(rows, source, settings.train.labels, settings.seed)
    names = [source.names[row] for row in rows]
    data = TrainingData(
        names,
        join(source.read_clips(rows), source.people, source.frames[rows]),
        torch.from_numpy(source.labels[rows]).to(device),
        source.layout,
    )
    clips = Clips(names, device, settings.seed, workers)
    for key, term in settings.model.enabled_terms.items():
        for name in term.inputs:
            if name in data.inputs:
                continue
            paths = inputs.get(name, ())
            data.inputs[name] = one = open_input(name, paths, clips, settings.model)
            if len(one.without) == len(names):
                raise UserError(
                    f"{paths[0]}: {key} has nothing to learn from: none of the {len(names)} training clips of "
                    f"{settings.protocol} has this input ({name}). `mmcl inspect` shows why clips failed"
                )
    missing = ", ".join(f"{name}: {len(one.without)}" for name, one in data.inputs.items())
    missing = missing or "pictures and answers"
    log.info("%d training clips, %d classes; without %s", len(names), len(source.class_ids), missing)
    return data


def training_rows(source: SkeletonStore, settings: StreamTraining) -> list[int]:
    """Rows of the store that train: the protocol's, for `fit` without every fifth subject.

    Raises:
        UserError: there are none, or all are of one class.
    """
    selection = select(source, settings)
    action = np.array(source.class_ids, object)[source.labels]
    parts = selection.train, selection.test
    found = Coverage(settings.protocol, action, source.subject, *parts, deciding(settings))
    if problem := found.problem("fitted" if settings.fit else "trained"):
        raise UserError(f"{source.path}: {problem}")
    # training needs no test clip, but its scores will
    for odd in filter(None, (found.problem("tested"), found.warning())):
        log.warning("%s: %s", source.path, odd)
    train = selection.train
    if settings.fit:
        train, _ = fit_split(source.subject, train)
    return [int(row) for row in train.nonzero()[0]]


def labelled(rows: Sequence[int], source: SkeletonStore, share: float, seed: int) -> list[int]:
    """Part of each class's clips, at least one of each: those with the least sha256 of seed and name.

    The choice depends on nothing else, and a smaller part lies within a larger one.

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


def scored_rows(source: SkeletonStore, settings: StreamTraining | Scoring) -> list[int]:
    """Rows of the store that are scored: the protocol's test clips, for `fit` the training subjects left out.

    Raises:
        UserError: there are none.
    """
    selection = select(source, settings)
    scored = fit_split(source.subject, selection.train)[1] if settings.fit else selection.test
    if not scored.any():
        raise UserError(f"{source.path}: no clip to score for protocol {settings.protocol}")
    return [int(row) for row in np.flatnonzero(scored)]
