"""Training: it learns, it resumes to the same bits, it keeps what it should."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_stores import changed, edited, make_stores, stream_settings
from made_stores import train as run

from mmcl import checkpoints
from mmcl.colearn import montages
from mmcl.datasets.exclusion import plan_exclusion
from mmcl.engine.resume import only_writer
from mmcl.errors import UserError
from mmcl.evaluation.score import load_model
from mmcl.training.loader import Loader


def same(a, b):
    return a["state"].keys() == b["state"].keys() and all(
        torch.equal(a["state"][k], b["state"][k]) for k in a["state"]
    )


class Stopped(Exception):
    pass


@pytest.fixture
def stop_at(monkeypatch):
    """Make training end with Stopped at the second batch of an epoch, with every epoch kept."""
    whole = Loader.drawn

    def stop(epoch):
        def batches(self, number):
            for step, batch in enumerate(whole(self, number)):
                if number == epoch and step == 1:
                    raise Stopped
                yield batch

        monkeypatch.setattr(Loader, "drawn", batches)

    return stop


def test_a_run_that_was_stopped_gives_the_same_model_as_one_that_ran_through(
    stores, settings, tmp_path, stop_at
):
    straight = run(stores, tmp_path / "straight", settings)
    stop_at(2)
    with pytest.raises(Stopped):
        run(stores, tmp_path / "stopped", settings)
    assert not (tmp_path / "stopped/model.pt").exists()
    assert len(checkpoints.read(tmp_path / "stopped/last.pt")["history"]) == 2
    stop_at(None)
    resumed = run(stores, tmp_path / "stopped", settings)
    assert same(straight, resumed)
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == [
        "history.csv",
        "model.pt",
        "settings.json",
    ]
    for file in ("straight", "stopped"):
        rows = list(csv.DictReader((tmp_path / file / "history.csv").open()))
        assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
        assert [float(row["lr"]) for row in rows] == pytest.approx([0.05, 0.05, 0.05, 0.005])
    straight, resumed = ((tmp_path / f / "settings.json").read_text() for f in ("straight", "stopped"))
    assert straight == resumed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train__learning_rate": 0.01}, "train.learning_rate: 0.05 → 0.01"),
        # another number of weights, and as many
        ({"model__frm__input": "text"}, "model.frm.input: 'hidden' → 'text'"),
        ({"model__frm__input": "mean"}, "model.frm.input: 'hidden' → 'mean'"),
    ],
)
def test_changed_settings_start_afresh(stores, settings, tmp_path, stop_at, caplog, change, said):
    other = changed(settings, **change)
    expected = run(stores, tmp_path / "fresh", other)
    stop_at(2)
    with pytest.raises(Stopped):
        run(stores, tmp_path / "run", settings)
    stop_at(None)
    with caplog.at_level(logging.WARNING):
        assert same(run(stores, tmp_path / "run", other), expected)
    assert f"begun with other settings or inputs ({said}): set aside" in caplog.text
    assert len(checkpoints.read(tmp_path / "run/last.set-aside.pt")["history"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"train__evaluate_every": 1},
        {"train__test_crop": 0.5},
        {"question": "is it?"},
        {"model__fam__cnn": {"frozen": True, "batch": 3, "name": "other"}},
        {"exclude": "a0_s2"},  # which does not train
    ],
    ids=str,
)
def test_a_change_that_alters_no_weight_goes_on(stores, settings, tmp_path, stop_at, caplog, change):
    if "exclude" in change:
        (tmp_path / "list.txt").write_text(change["exclude"])
        change = {"exclude": plan_exclusion(str(tmp_path / "list.txt")).dump()}
    expected = run(stores, tmp_path / "straight", settings)
    stop_at(2)
    with pytest.raises(Stopped):
        run(stores, tmp_path / "run", settings)
    stop_at(None)
    with caplog.at_level(logging.INFO):
        found = run(stores, tmp_path / "run", changed(settings, **change))
    assert "continuing after 2 of 4 epochs" in caplog.text
    assert same(found, expected)


def test_a_state_goes_on_in_the_folder_of_other_settings(stores, settings, tmp_path, stop_at, caplog):
    """Where the folder's name follows from all settings, as in the workflow."""
    longer = changed(settings, train__epochs=5, train__evaluate_every=5)
    straight = run(stores, tmp_path / "straight", longer)
    first, other = tmp_path / "0123abcd/seed-1", tmp_path / "4567abcd/seed-1"
    stop_at(2)
    with pytest.raises(Stopped):
        run(stores, first, settings)
    stop_at(None)
    with caplog.at_level(logging.INFO):
        assert same(run(stores, other, longer), straight)
    assert f"begun in {first}" in caplog.text
    assert "continuing after 2 of 5 epochs" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run(
            stores,
            tmp_path / "89abcdef/seed-1",
            changed(settings, train__learning_rate=0.01, train__epochs=1),
        )
    assert f"{first}/last.pt is left as it is: begun with other settings" in caplog.text
    assert "train.learning_rate: 0.05 → 0.01" in caplog.text
    assert "continuing" not in caplog.text
    assert len(checkpoints.read(first / "last.pt")["history"]) == 2


def test_an_unreadable_last_state_is_set_aside(stores, settings, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.pt").write_bytes(b"half a file")
    run(stores, tmp_path / "run", changed(settings, train__epochs=1))
    assert (tmp_path / "run/last.unreadable.pt").read_bytes() == b"half a file"
    assert "cannot be read" in caplog.text


def test_a_second_writer_is_refused(stores, settings, tmp_path):
    with only_writer(tmp_path), pytest.raises(UserError, match="another process is training"):
        run(stores, tmp_path, settings)


def test_it_learns_its_training_clips(stores, settings, tmp_path):
    # all 16 clips in every step, and always shown alike: plain descent, which no order of additions throws off
    easy = {"train__crop": [1.0, 1.0], "train__rotation": 0, "train__batch": 16}
    settings = changed(settings, train__epochs=50, train__steps=[40], **easy)
    run(stores, tmp_path, settings)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    # it comes to 0.003. Where the mean is below ln(2) / 16, no clip of 16 can be wrong
    assert float(rows[-1]["cls"]) < 0.04 < 1.0 < float(rows[0]["cls"])
    assert float(rows[-1]["accuracy"]) == 100.0
    assert float(rows[-1]["frm"]) < 0.1 * float(rows[0]["frm"])
    assert float(rows[-1]["fam"]) < 0.9 * float(rows[0]["fam"])
    total = float(rows[3]["cls"]) + 0.1 * float(rows[3]["fam"]) + 0.2 * float(rows[3]["frm"])
    assert float(rows[3]["loss"]) == pytest.approx(total, abs=1e-5)


def test_settings_tell_who_had_no_picture_or_answer(stores, settings, tmp_path):
    run(stores, tmp_path, changed(settings, train__epochs=1))
    about = json.loads((tmp_path / "settings.json").read_text())
    assert about["without_picture"] == about["without_answer"] == ["a1_s1"]
    assert (about["clips"], about["persons"], about["layout"]) == (16, 1, "utd20")
    assert about["settings"] == stream_settings(train__epochs=1).dump()
    assert "torch" in about["versions"]


def test_fit_leaves_every_fifth_subject_out(stores, settings, tmp_path):
    run(stores, tmp_path, changed(settings, fit=True, train__epochs=1))
    assert json.loads((tmp_path / "settings.json").read_text())["clips"] == 12


@pytest.mark.parametrize(("layout", "persons"), [("ucla20", 1), ("ntu25", 2)])
def test_any_layout_and_number_of_persons(settings, tmp_path, layout, persons):
    stores = make_stores(tmp_path, layout, persons)
    content = run(stores, tmp_path / "run", changed(settings, train__epochs=1, model__graph="hd21"))
    joints = {"ucla20": 20, "ntu25": 25}[layout]
    assert content["state"]["backbone.input_norm.weight"].shape == (3 * joints * persons,)
    assert content["state"]["backbone.head.weight"].shape == (4, 32)


def test_without_fam_and_frm_nothing_but_skeletons_is_needed(stores, settings, tmp_path):
    settings = changed(settings, train__epochs=1)
    settings["model"]["fam"]["enabled"] = settings["model"]["frm"]["enabled"] = False
    content = run(stores, tmp_path, settings)
    assert all(name.startswith("backbone.") for name in content["state"])


class Mean(torch.nn.Module):
    """The smallest CNN: a linear layer on the mean colour, with dropout."""

    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 6)

    def forward(self, images):
        return self.layer(F.dropout(images.float().mean((1, 2)) / 255, training=self.training))


def test_a_cnn_trained_along_is_trained_kept_and_resumed(stores, settings, tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr(montages, "open_cnn", lambda cnn: Mean())
    settings = changed(settings, model__fam__cnn={"frozen": False}, model__frm__enabled=False)

    def go(folder):
        return run(stores, tmp_path / folder, settings, inputs={"picture": [stores["montages"]]})

    straight = go("straight")
    torch.manual_seed(settings["seed"])
    assert not torch.equal(straight["state"]["fam.cnn.layer.weight"], Mean().layer.weight)
    assert load_model(tmp_path / "straight/model.pt").model.fam.cnn is None  # not needed any more
    stop_at(2)
    with pytest.raises(Stopped):
        go("stopped")
    stop_at(None)
    assert same(straight, go("stopped"))


def test_fam_without_features_is_an_error(stores, settings, tmp_path):
    with pytest.raises(UserError, match="ask for rgb features"):
        run(stores, tmp_path, settings, inputs={"answer": [stores["answers"]]})


def test_a_loss_that_is_not_finite_stops(stores, settings, tmp_path):
    with pytest.raises(UserError, match="not finite in epoch 1"):
        run(stores, tmp_path, changed(settings, train__learning_rate=1e30, train__epochs=1))


def test_bf16_trains(stores, settings, tmp_path):
    content = run(stores, tmp_path, changed(settings, train__precision="bf16", train__epochs=1))
    assert content["state"]["backbone.head.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "column", "message"),
    [
        ("answers", "states", "'states' holds numbers that are not finite"),
        ("rgb", "features", "'features' holds numbers that are not finite"),
        ("answers", "p_yes", r"values of 1 of 15 clips are not finite \(a2_s3\)"),
    ],
)
def test_an_input_that_is_not_finite_is_named(stores, settings, tmp_path, kind, column, message):
    if column == "p_yes":
        settings = changed(settings, model__frm__input="p_yes")
    with edited(stores[kind]) as h5:
        row = h5["names"].asstr()[:].tolist().index("a2_s3")
        if column == "p_yes":
            h5[column][:] = 0.5
        h5[column][row] = np.nan
    with pytest.raises(UserError, match=rf"{kind}\.h5: {message}"):
        run(stores, tmp_path / "run", settings)


@pytest.mark.parametrize(("kind", "term"), [("answers", "frm"), ("rgb", "fam"), ("montages", "fam")])
def test_a_term_with_nothing_to_learn_from_says_so(stores, settings, tmp_path, kind, term):
    with edited(stores[kind]) as h5:
        h5["names"][...] = [f"other{i}" for i in range(31)]
    if kind == "montages":
        cnn = {
            "frozen": False,
            "architecture": "shufflenet_v2_x0_5",
            "weights": None,
            "num_classes": 6,
            "image_size": 32,
        }
        settings = changed(settings, model__fam__cnn=cnn)
        stores["rgb"] = stores["montages"]
    with pytest.raises(
        UserError, match=f"{kind}\\.h5: {term} has nothing to learn from: none of the 16 training clips"
    ):
        run(stores, tmp_path / "run", settings)
    assert not (tmp_path / "run/model.pt").exists()
