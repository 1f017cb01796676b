"""A finished benchmark of two streams, as the workflow leaves it, and recordings of its kind."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from made_scores import fusion, member
from made_stores import edited, make_stores, stream_settings

from mmcl.datasets.prepare import SkeletonStore
from mmcl.evaluation.ensemble import write_ensemble
from mmcl.evaluation.score import score_stream
from mmcl.settings.jobs import Scoring
from mmcl.training.train import train_stream

QUESTION = "whether-the-people-are-302e3a4e"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The working directory: results/, with demo_xsub, and recordings/."""
    root = tmp_path_factory.mktemp("finished")
    (root / "made").mkdir()
    stores = make_stores(root / "made")
    for kind, path in {
        "skeletons": "skeletons/demo.h5",
        "montages": "montages/demo/000-of-001.h5",
        "answers": f"answers/demo/demo-blip/{QUESTION}/000-of-001.h5",
    }.items():
        (root / "results" / path).parent.mkdir(parents=True)
        stores[kind] = stores[kind].rename(root / "results" / path)
    with edited(stores["answers"]) as file:
        file.attrs["question"] = "whether the people are holding objects?"
    with contextlib.chdir(root):
        runs = [_trained(stream) for stream in ("joint", "bone")]
        (root / "results/demo_xsub").mkdir()
        write_ensemble(
            Path("results/demo_xsub/ensemble.json"),
            scores=[run / "scores.h5" for run in runs],
            metrics=[run / "metrics.json" for run in runs],
            fit=[],
            settings=fusion(
                [member(stream, backbone="stgcn16") for stream in ("joint", "bone")],
                [1],
                [str(run) for run in runs],
                weights="equal",
            ),
        )
    source = SkeletonStore(stores["skeletons"])
    (root / "recordings").mkdir()
    for row in (0, 9):
        np.savez(root / f"recordings/{source.names[row]}.npz", joints=source.clip(row)[:, 0])
    return root


def _trained(stream: str) -> Path:
    skeletons = Path("results/skeletons/demo.h5")
    run = Path(f"results/streams/demo/odd_subjects/stgcn16-natural-{stream}/0123abcd/seed-1")
    off = {f"model__{term}": {"enabled": False} for term in ("fam", "frm")}
    settings = stream_settings(stream=stream, train__epochs=2, model__backbone="stgcn16", **off)
    train_stream(skeletons=skeletons, output=run / "model.pt", settings=settings)
    scoring = Scoring(protocol="odd_subjects", version=1)
    files = {"output": run / "scores.h5", "metrics": run / "metrics.json"}
    score_stream(model=run / "model.pt", skeletons=skeletons, settings=scoring, **files)
    return run


@pytest.fixture
def here(finished, monkeypatch) -> Path:
    """The same, as the current folder."""
    monkeypatch.chdir(finished)
    return finished
