"""Event files for TensorBoard say what history.csv says."""

import csv
import sys

import pytest
from made_stores import SETTINGS, changed, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_loop import SGD, Fitting, Stopped

from mmcl.config import Config
from mmcl.engine.loop import fit
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.engine.scalars import FILES
from mmcl.errors import UserError
from mmcl.planned import TENSORBOARD


def read(folder):
    """Tag → [(step, value)], of the folder's one event file."""
    [_] = folder.glob(FILES)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def fitted(task, folder):
    mark = Mark({"line": SGD.dump()}, {"clips": "a"})
    with fit(task, SGD, target=folder / "net.pt", mark=mark, processes=Processes()) as done:
        pass
    return done


def same(found, history):
    columns = {key for row in history for key in row} - {"epoch"}
    assert found.keys() == columns
    for column in columns:
        rows = [row for row in history if row.get(column) not in (None, "")]
        assert [step for step, _ in found[column]] == [int(row["epoch"]) for row in rows]
        expected = [float(row[column]) for row in rows]
        assert [value for _, value in found[column]] == pytest.approx(expected, rel=1e-6)


def test_a_stream_writes_its_history(stores, tmp_path, monkeypatch):
    monkeypatch.setenv(TENSORBOARD, "on")
    train(stores, tmp_path / "run", changed(SETTINGS, train__epochs=2, train__evaluate_every=2))
    with (tmp_path / "run/history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert {"lr", "loss", "cls", "fam", "frm", "accuracy", "test_top1", "seconds"} < history[0].keys()
    same(read(tmp_path / "run"), history)


def test_a_resumed_run_has_every_epoch_once(tmp_path, monkeypatch):
    monkeypatch.setenv(TENSORBOARD, "on")
    with pytest.raises(Stopped):
        fitted(Fitting(stop=(3, 1)), tmp_path)
    assert [step for step, _ in read(tmp_path)["loss"]] == [1, 2, 3]
    [first] = tmp_path.glob(FILES)
    history = fitted(Fitting(), tmp_path).history
    found = read(tmp_path)
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5]
    assert [step for step, _ in found["test_top1"]] == [2, 4, 5]
    same(found, history)
    assert not first.exists()


def test_without_it_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(TENSORBOARD, raising=False)
    (tmp_path / "events.out.tfevents.1").touch()  # of another training in this folder
    fitted(Fitting(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_told_when_planning(tmp_path, monkeypatch):
    monkeypatch.setattr("mmcl.config.find_spec", lambda name: None)
    raw = {
        "instruction": "which?",
        "datasets": {"made": {"reader": "utd_mhad"}},
        "benchmarks": {"made": {"dataset": "made", "protocol": "odd_subjects"}},
    }
    assert not Config(raw).tensorboard
    with pytest.raises(UserError, match=r"tensorboard: .* pip install 'mmcl\[tensorboard\]'"):
        Config(raw | {"tensorboard": True})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setenv(TENSORBOARD, "on")
    with pytest.raises(UserError, match="the package tensorboard is missing"):
        fitted(Fitting(), tmp_path)


def test_it_is_no_part_of_a_benchmark():
    raw = {
        "instruction": "which?",
        "datasets": {"made": {"reader": "utd_mhad"}},
        "benchmarks": {"made": {"dataset": "made", "protocol": "odd_subjects"}},
    }
    for stated in (True, "true"):  # of config.yaml, of --config
        config = Config(raw | {"tensorboard": stated})
        assert config.tensorboard is True
        assert config.benchmark("made") == Config(raw).benchmark("made")
    with pytest.raises(UserError, match="tensorboard: "):
        Config(raw | {"tensorboard": "maybe"})
    raw["benchmarks"]["made"]["tensorboard"] = True
    with pytest.raises(UserError, match=r"benchmarks.made.tensorboard: unknown key"):
        Config(raw)
