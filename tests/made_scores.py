"""Made scores, of three classes if nothing else is asked for, as score_stream leaves them."""

import json
from pathlib import Path

import h5py
import numpy as np

from mmcl.evaluation.ensemble import SCHEMA, write_ensemble
from mmcl.settings.jobs import Fusion
from mmcl.store import Batch, Column, write

CLASSES = 3
NAMES = ("drink", "eat", "wave")
LEFT_OUT = [{"name": "bad", "reason": "empty"}]


def scores(path, names, logits, labels, ids=("A001", "A002", "A003"), class_names=NAMES):
    """Write scores.h5, and metrics.json beside it."""
    rows = {name: (z, y) for name, z, y in zip(names, logits, labels, strict=True)}

    def work(batch):
        return Batch(
            batch, {"logits": [rows[n][0] for n in batch], "labels": [rows[n][1] for n in batch]}, {}
        )

    def finish(h5: h5py.File):
        h5["classes/id"] = np.array(ids, dtype=h5py.string_dtype())
        h5["classes/name"] = np.array(class_names, dtype=h5py.string_dtype())

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"logits": Column("float32", (len(ids),)), "labels": Column("int64")}
    write(
        path,
        schema=SCHEMA,
        settings={},
        names=names,
        columns=columns,
        batch_size=256,
        work=work,
        finish=finish,
    )
    (path.parent / "metrics.json").write_text(json.dumps({"left_out": LEFT_OUT}))
    return path


def fusion(members: list[dict], seeds: list[int], runs: list[str] | None = None, **ensemble) -> Fusion:
    """Settings of an ensemble of these members."""
    return Fusion.model_validate(
        {
            "benchmark": "b",
            "question": "q",
            "dataset": "made",
            "protocol": "odd_subjects",
            "model": {},
            "train": {},
            "ensemble": {
                "members": [{"stream": m["stream"], "graph": m["graph"]} for m in members],
                **ensemble,
            },
            "members": members,
            "runs": runs or [f"run-{number}" for number in range(len(members))],
            "seeds": seeds,
        }
    )


def member(stream: str, graph: str = "natural", backbone: str = "ctrgcn") -> dict[str, str]:
    """A member of an ensemble."""
    return {"backbone": backbone, "graph": graph, "stream": stream}


def preset(weights: list[float], members: list[dict]) -> list[dict]:
    """Rows of `ensemble.preset` that give these weights to these members."""
    return [{**one, "weight": weight} for one, weight in zip(members, weights, strict=True)]


def run_folder(benchmark: Path, stream: str) -> Path:
    """Where `benchmark` trains a stream: the folder of its settings."""
    name = f"ctrgcn-natural-{stream}"
    return benchmark.parent / "streams/made/odd_subjects" / name / f"{benchmark.name:0>8}"


def benchmark(folder: Path, runs: dict, weights=None, **form) -> Path:
    """A finished benchmark as the workflow leaves it.

    Args:
        folder: …/results/<benchmark>.
        runs: seed → stream → logits of clips p, q, r, s of classes 0, 1, 2, 2.
        weights: of the streams; all one without.
        form: names, labels, ids or class_names instead.

    Returns:
        its ensemble.json.
    """
    form = {"names": ["p", "q", "r", "s"], "labels": [0, 1, 2, 2], **form}
    streams = list(next(iter(runs.values())))
    files = [
        scores(run_folder(folder, stream) / f"seed-{seed}/scores.h5", logits=runs[seed][stream], **form)
        for seed in runs
        for stream in streams
    ]
    first = [str(file.parent.relative_to(folder.parent.parent)) for file in files[: len(streams)]]
    members = [member(stream) for stream in streams]
    rows = preset(weights or [1.0] * len(streams), members)
    settings = fusion(members, list(runs), first, weights="preset", preset=rows)
    metrics = [file.with_name("metrics.json") for file in files[: len(members)]]
    folder.mkdir(parents=True, exist_ok=True)
    write_ensemble(folder / "ensemble.json", scores=files, metrics=metrics, fit=[], settings=settings)
    return folder / "ensemble.json"
