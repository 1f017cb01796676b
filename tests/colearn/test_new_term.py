"""A term with an input of its own: a class, its settings and a line in the table."""

import csv
from typing import ClassVar

import numpy as np
import pytest
import torch
from made_stores import changed, train
from pydantic import Field
from torch import nn

from mmcl import store
from mmcl.colearn.term import Term
from mmcl.errors import UserError
from mmcl.settings import tables
from mmcl.settings.jobs import Scoring
from mmcl.settings.model import TermSettings


class SoundSettings(TermSettings):
    """Settings of `Sound`."""

    inputs: ClassVar = ("sound",)

    weight: float = Field(0.5, ge=0, description="Of its loss.")


class Sound(Term):
    """The features predict the sound of the clip: L = ‖W h − sound‖², mean over the clips that have one."""

    name = "sound"
    Settings = SoundSettings

    def __init__(self, settings, form):
        super().__init__()
        (width,) = form.shapes["sound"]
        self.weight = settings.weight
        self.layer = nn.Linear(form.feature_dim, width)

    def loss(self, features, logits, batch):
        sound, mask = batch.inputs["sound"]
        error = (self.layer(features) - sound).square().mean(1)
        return (error * mask).sum() / mask.sum().clamp(min=1)


@pytest.fixture
def sounds(tmp_path, monkeypatch):
    """A store of sounds; a2_s1 has none."""
    monkeypatch.setitem(tables.TERMS, "sound", f"{__name__}:Sound")
    names = [f"a{action}_s{subject}" for action in range(4) for subject in range(1, 9)]
    names.remove("a2_s1")
    store.write(
        tmp_path / "sound.h5",
        schema="mmcl.sound/1",
        settings={},
        names=names,
        columns={"features": store.Column("float32", (2,))},
        batch_size=40,
        work=lambda part: store.Batch(
            part, {"features": [np.float32([int(name[1]), 1]) for name in part]}, {}
        ),
    )
    return {"sound": [tmp_path / "sound.h5"]}


def test_it_is_trained_reported_kept_and_left_out_in_inference(stores, settings, sounds, tmp_path):
    from mmcl.evaluation.score import score_stream
    from mmcl.training.trained import load_model

    off = {"model__fam__enabled": False, "model__frm__enabled": False}
    own = changed(settings, **off, model__terms={"sound": {"weight": 0.25}})
    content = train(stores, tmp_path / "run", own, inputs=sounds)
    rows = list(csv.DictReader((tmp_path / "run/history.csv").open()))
    assert list(rows[0]) == ["epoch", "lr", "loss", "cls", "sound", "accuracy", "seconds"]
    for row in rows:
        loss, cls, sound = (float(row[key]) for key in ("loss", "cls", "sound"))
        assert loss == pytest.approx(cls + 0.25 * sound, rel=1e-5)
    assert float(rows[-1]["sound"]) < float(rows[0]["sound"])
    assert content["shapes"] == {"sound": [2]}
    assert content["settings"]["model"]["terms"] == {"sound": {"enabled": True, "weight": 0.25}}
    assert '"without_sound": [\n    "a2_s1"' in (tmp_path / "run/settings.json").read_text()
    trained = load_model(tmp_path / "run/model.pt")
    assert torch.equal(trained.model.terms["sound"].layer.weight, content["state"]["sound.layer.weight"])
    score_stream(
        model=tmp_path / "run/model.pt",
        skeletons=stores["skeletons"],
        output=tmp_path / "scores.h5",
        metrics=tmp_path / "metrics.json",
        settings=Scoring(protocol="odd_subjects", version=1),
    )
    assert (tmp_path / "scores.h5").exists()


def test_without_its_store_it_is_an_error(stores, settings, sounds, tmp_path):
    own = changed(settings, model__fam__enabled=False, model__frm__enabled=False, model__terms={"sound": {}})
    with pytest.raises(UserError, match="ask for sound, but none were given"):
        train(stores, tmp_path / "run", own, inputs={})
