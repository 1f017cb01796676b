import numpy as np
import pytest
from made_scores import scores
from made_stores import edited

from mmcl import paths
from mmcl.evaluation.finished import FinishedBenchmark, FinishedMember
from mmcl.report import summary


@pytest.fixture
def two_backbones(tmp_path, monkeypatch) -> FinishedBenchmark:
    """A finished benchmark whose two members differ in the backbone alone."""
    monkeypatch.chdir(tmp_path)
    members = []
    for number, backbone in enumerate(("ctrgcn", "ctrs"), 1):
        run = tmp_path / backbone
        run.mkdir()
        (run / "history.csv").write_text(f"epoch,loss,accuracy\n1,{number}.0,50\n")
        with edited(scores(run / "scores.h5", ["a"], [[1.0, 0, 0]], [0])) as h5:
            h5["confusion"] = np.eye(3, dtype=int)
        members.append(FinishedMember(f"{backbone}-natural-joint", run, 0.5, 50.0))
    result = {"benchmark": "b", "settings": {"dataset": "made"}}
    file = tmp_path / paths.at(paths.ENSEMBLE, benchmark="b")
    file.parent.mkdir(parents=True)
    return FinishedBenchmark(file, result, tuple(members), {1: 50.0})


def test_members_that_differ_in_the_backbone_have_curves_of_their_own(two_backbones, monkeypatch):
    drawn = {}
    monkeypatch.setattr(summary, "plot_history", lambda histories, *_: drawn.update(histories))
    summary._pictures(two_backbones)
    assert drawn == {
        f"{name}-natural-joint": two_backbones.path.parents[2] / name / "history.csv"
        for name in ("ctrgcn", "ctrs")
    }
