"""Looks at the test clips while training goes on."""

import csv
import json

import pytest
import torch
from made_stores import changed, make_stores
from made_stores import train as run

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.evaluation.score import score_stream
from mmcl.settings.jobs import Scoring
from mmcl.training.loader import Loader


@pytest.fixture
def plain(settings):
    """Settings without FAM and FRM."""
    settings["model"]["fam"]["enabled"] = settings["model"]["frm"]["enabled"] = False
    return settings


def looks(folder):
    return [row.get("test_top1") for row in csv.DictReader((folder / "history.csv").open())]


def scored(stores, model, fit=False):
    settings = Scoring(protocol="odd_subjects", fit=fit, version=1)
    output, metrics = model.with_suffix(".h5"), model.with_suffix(".json")
    score_stream(
        model=model, skeletons=stores["skeletons"], output=output, metrics=metrics, settings=settings
    )
    return json.loads(metrics.read_text())["top1"]


def same(a, b):
    return all(torch.equal(a["state"][key], b["state"][key]) for key in a["state"])


def test_the_best_epoch_is_kept_beside_the_last(stores, plain, tmp_path):
    content = run(stores, tmp_path / "looked", changed(plain, train__evaluate_every=1))
    top1 = [float(value) for value in looks(tmp_path / "looked")]
    best = {"epoch": 1 + top1.index(max(top1)), "top1": max(top1)}
    assert best["epoch"] < 4  # else nothing is tested here
    assert content["best_on_test"] == best
    assert json.loads((tmp_path / "looked/settings.json").read_text())["best_on_test"] == best
    # what was looked at is what will be scored
    assert scored(stores, tmp_path / "looked/model.pt") == top1[3]
    assert scored(stores, tmp_path / "looked/best_on_test.pt") == best["top1"]
    # it is the network of that epoch, and looking changes nothing
    assert same(content, run(stores, tmp_path / "blind", plain))
    assert looks(tmp_path / "blind") == [None] * 4
    early = run(stores, tmp_path / "early", changed(plain, train__epochs=best["epoch"]))
    assert same(checkpoints.read(tmp_path / "looked/best_on_test.pt"), early)


def test_looks_come_every_so_many_epochs_and_after_the_last(stores, plain, tmp_path):
    run(stores, tmp_path, changed(plain, train__evaluate_every=3))
    assert [bool(value) for value in looks(tmp_path)] == [False, False, True, True]
    run(stores, tmp_path, plain)
    assert not (tmp_path / "best_on_test.pt").exists()  # it would belong to another run


def test_a_run_that_was_stopped_remembers_its_best_epoch(stores, plain, tmp_path, monkeypatch):
    settings = changed(plain, train__evaluate_every=1)
    straight = run(stores, tmp_path / "straight", settings)
    whole = Loader.drawn

    def stopping(self, epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return whole(self, epoch)

    monkeypatch.setattr(Loader, "drawn", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(stores, tmp_path / "stopped", settings)
    monkeypatch.undo()
    resumed = run(stores, tmp_path / "stopped", settings)
    assert resumed["best_on_test"] == straight["best_on_test"]
    assert straight["best_on_test"]["epoch"] < 4
    assert looks(tmp_path / "stopped") == looks(tmp_path / "straight")
    assert same(*(checkpoints.read(tmp_path / f / "best_on_test.pt") for f in ("stopped", "straight")))


def test_a_fit_run_looks_at_the_subjects_it_leaves_out(stores, plain, tmp_path):
    run(stores, tmp_path, changed(plain, fit=True, train__evaluate_every=4))
    assert float(looks(tmp_path)[3]) == scored(stores, tmp_path / "model.pt", fit=True)


def test_nothing_to_look_at_is_an_error(plain, tmp_path):
    stores = make_stores(tmp_path)
    settings = changed(plain, protocol="nw_ucla", train__evaluate_every=1)
    with pytest.raises(UserError, match="no clip to score for protocol nw_ucla"):
        run(stores, tmp_path, settings)
