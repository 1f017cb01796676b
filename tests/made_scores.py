"""Made scores of three classes, as score_stream leaves them."""

import json
from pathlib import Path

import h5py
import numpy as np

from mmcl.evaluation.ensemble import SCHEMA, scores_path, write_ensemble
from mmcl.store import Batch, Column, write

CLASSES = 3
LEFT_OUT = [{"name": "bad", "reason": "empty"}]


def scores(path, names, logits, labels, ids=("A001", "A002", "A003")):
    """Write scores.h5, and metrics.json beside it."""
    rows = {name: (z, y) for name, z, y in zip(names, logits, labels, strict=True)}

    def work(batch):
        return Batch(
            batch, {"logits": [rows[n][0] for n in batch], "labels": [rows[n][1] for n in batch]}, {}
        )

    def finish(h5: h5py.File):
        h5["classes/id"] = np.array(ids, dtype=h5py.string_dtype())
        h5["classes/name"] = np.array(["drink", "eat", "wave"], dtype=h5py.string_dtype())

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"logits": Column("float32", (CLASSES,)), "labels": Column("int64")}
    write(
        path, schema=SCHEMA, settings={}, names=names, columns=columns, batch_size=4, work=work, finish=finish
    )
    (path.parent / "metrics.json").write_text(json.dumps({"left_out": LEFT_OUT}))
    return path


def benchmark(folder: Path, runs: dict, weights=None, **form) -> Path:
    """A finished benchmark as the workflow leaves it.

    Args:
        folder: results/<benchmark>.
        runs: seed → stream → logits of clips p, q, r, s of classes 0, 1, 2, 2.
        weights: of the streams; all one without.
        form: names, labels or ids instead.

    Returns:
        its ensemble.json.
    """
    form = {"names": ["p", "q", "r", "s"], "labels": [0, 1, 2, 2], **form}
    streams = list(next(iter(runs.values())))
    members = [{"backbone": "ctrgcn", "graph": "natural", "stream": stream} for stream in streams]
    files = [
        scores(scores_path(folder, "no-question", m, seed), logits=runs[seed][m["stream"]], **form)
        for seed in runs
        for m in members
    ]
    settings = {
        "benchmark": folder.name,
        "question": "no-question",
        "seeds": list(runs),
        "ensemble": {"members": members, "weights": "preset", "preset": weights or [1.0] * len(members)},
    }
    metrics = [file.with_name("metrics.json") for file in files[: len(members)]]
    write_ensemble(folder / "ensemble.json", scores=files, metrics=metrics, fit=[], settings=settings)
    return folder / "ensemble.json"
