"""docs/extending.md: each addition is one file and one line of a table, and nothing else is touched."""

import csv
import importlib
import json
import re

import cv2
import numpy as np
import pytest
import torch
import yaml
from made_stores import make_stores
from planned import stream

from mmcl import store
from mmcl.config import Config
from mmcl.datasets.prepare import SkeletonStore, index_clips, prepare_skeletons
from mmcl.errors import UserError
from mmcl.evaluation.score import score_stream
from mmcl.plan import Plan
from mmcl.settings import tables
from mmcl.settings.jobs import Answering, Cropping, Indexing, Preparation, Scoring, StreamTraining
from mmcl.training.train import train_stream
from mmcl.training.trained import load_model
from mmcl.video import jpeg
from mmcl.video.crop import crop_people
from mmcl.vlm.answer import answer_question

CONFIG = """
instruction: "which colour?"
datasets:
  made: {reader: utd_mhad, videos: videos}
benchmarks:
  made:
    dataset: made
    protocol: odd_subjects
    threads: 1
    model: {width: 0.125, fam: {enabled: false}, frm: {enabled: false}}
    train: {epochs: 2, batch: 8, learning_rate: 0.01, warmup_epochs: 0, steps: [], window: 8, min_crop: 4}
    ensemble: {members: [{stream: joint}], weights: equal}
"""


@pytest.fixture
def examples(project, tmp_path, monkeypatch):
    """The page's files on the import path, and its lines in the tables, for one test."""
    page = (project / "docs/extending.md").read_text()
    folder = tmp_path / "examples"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    names = []
    for text in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        title, _, code = text.partition("\n")
        kind, _, name = title.removeprefix("# ").partition(": ")
        if kind != "line":
            (folder / kind).write_text(code)
            names.append(kind.removesuffix(".py"))
            continue
        [(key, value)] = eval("{" + code + "}", {"BackboneEntry": tables.BackboneEntry}).items()
        monkeypatch.setitem(getattr(tables, name), key, value)
    assert names == ["pooled", "colour", "bright", "npy", "sound", "height"]
    importlib.invalidate_caches()
    yield folder
    for name in names:
        importlib.sys.modules.pop(name, None)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A working directory with made stores where the workflow keeps them."""
    monkeypatch.chdir(tmp_path)
    stores = make_stores(tmp_path)
    skeletons = tmp_path / "results/skeletons/made.h5"
    skeletons.parent.mkdir(parents=True)
    stores["skeletons"].rename(skeletons)
    return skeletons


def trained(made, change):
    """Train and score the one member as the plan says; returns the model's file and the history."""
    raw = yaml.safe_load(CONFIG)
    change(raw["benchmarks"]["made"])
    plan = Plan(Config(raw))
    [member] = plan.config.benchmark("made").members
    where = stream(plan, "made", member=member.name)
    model = made.parents[1] / plan.folder_of("made", member, 1).removeprefix("results/") / "model.pt"
    settings = StreamTraining.model_validate(plan.stream_settings(where))
    inputs = plan.training_inputs(where)
    train_stream(skeletons=made, output=model, settings=settings, inputs=inputs)
    score_stream(
        model=model,
        skeletons=made,
        output=model.with_name("scores.h5"),
        metrics=model.with_name("metrics.json"),
        settings=Scoring.model_validate(plan.score_settings(where)),
    )
    assert json.loads(model.with_name("metrics.json").read_text())["clips"] == 16
    return model, list(csv.DictReader(model.with_name("history.csv").open()))


def test_a_backbone(examples, made):
    own = {"backbone": "pooled", "options": {"pooled": {"hidden": 24}}, "width": 1.0}
    model, _ = trained(made, lambda b: b["model"].update(own))
    net = load_model(model).model.backbone
    assert (type(net).__name__, net.feature_dim) == ("Pooled", 24)
    about = json.loads(model.with_name("settings.json").read_text())
    assert about["settings"]["model"]["options"] == {"pooled": {"hidden": 24}}
    with pytest.raises(UserError, match=r"model.options.pooled.hiden: unknown key; did you mean 'hidden'"):
        trained(made, lambda b: b["model"].update({**own, "options": {"pooled": {"hiden": 24}}}))
    with pytest.raises(UserError, match="pooled takes graph natural, not hd21"):
        trained(
            made, lambda b: b.update(model=own, ensemble={"members": [{"stream": "joint", "graph": "hd21"}]})
        )


def test_a_stream(examples, made):
    model, history = trained(made, lambda b: b["ensemble"].update(members=[{"stream": "height"}]))
    assert "ctrgcn-natural-height" in str(model)
    assert float(history[-1]["loss"]) > 0


def test_a_term_with_an_input_of_its_own(examples, made, tmp_path):
    names = [name for name in SkeletonStore(made).names if name != "a1_s1"]
    sound = tmp_path / "results/sound/made/000-of-001.h5"
    sound.parent.mkdir(parents=True)

    def work(names):
        return store.Batch(names, {"features": [[float(name[1]), 1.0] for name in names]}, {})

    column = {"features": store.Column("float32", (2,))}
    store.write(
        sound, schema="mmcl.sound/1", settings={}, names=names, columns=column, batch_size=40, work=work
    )
    model, history = trained(made, lambda b: b["model"].update(terms={"sound": {"weight": 2.0}}))
    assert [key for key in history[0] if key in ("cls", "sound", "fam")] == ["cls", "sound"]
    for row in history:
        total = float(row["cls"]) + 2.0 * float(row["sound"])
        assert float(row["loss"]) == pytest.approx(total, rel=1e-5)
    assert float(history[1]["sound"]) < float(history[0]["sound"])
    about = json.loads(model.with_name("settings.json").read_text())
    assert about["without_sound"] == ["a1_s1"]
    state = torch.load(model, weights_only=True)["state"]
    assert state["sound.predict.weight"].shape == (2, load_model(model).model.backbone.feature_dim)


def test_a_vision_language_model(examples, made, tmp_path):
    """Its answers refine scores like those of any other."""
    names, labels = SkeletonStore(made).names, SkeletonStore(made).labels
    montages = tmp_path / "montages.h5"

    def pictures(part):
        colours = np.eye(3, dtype=np.uint8)[[labels[names.index(name)] % 3 for name in part]] * 200
        images = [jpeg.encode(np.full((16, 16, 3), colour, np.uint8), 95) for colour in colours]
        return store.Batch(part, {"images": images}, {})

    column = {"images": store.Column("bytes")}
    store.write(
        montages,
        schema="mmcl.montages/1",
        settings={},
        names=names,
        columns=column,
        batch_size=40,
        work=pictures,
    )
    raw = yaml.safe_load(CONFIG)
    raw["benchmarks"]["made"]["vlm"] = vlm = {
        "name": "colour",
        "adapter": "colour",
        "weights": str(tmp_path / "none"),
    }
    raw["benchmarks"]["made"]["model"]["frm"]["enabled"] = True
    (tmp_path / "none").write_bytes(b"no weights")
    plan = Plan(Config(raw))
    [answers] = plan.training_inputs(stream(plan, "made"))["answer"]
    question = tmp_path / f"results/questions/{plan.config.question('made')}.txt"
    question.parent.mkdir()
    question.write_text("which colour?")
    (tmp_path / answers).parent.mkdir(parents=True)
    settings = Answering.model_validate(plan._answering("colour").dump())
    answer_question(montages, question, tmp_path / answers, settings, threads=1)
    table = store.Shards([tmp_path / answers], "mmcl.answers/1")
    assert set(table.read("text")) == {"red", "green", "blue"}

    def refined(benchmark):
        benchmark["vlm"] = vlm
        benchmark["model"]["frm"]["enabled"] = True

    _, history = trained(made, refined)
    assert float(history[0]["frm"]) > 0


def test_a_reader(examples, made, tmp_path):
    folder = tmp_path / "npy"
    folder.mkdir()
    source = SkeletonStore(made)
    for row, name in enumerate(source.names):
        action, subject = name.split("_s")
        np.save(folder / f"{action}_{subject}_1.npy", source.clip(row)[:, 0])
    (folder / "a0_9_1.npy").write_bytes(b"damaged")
    own = {"reader": "npy", "options": {"layout": "utd20"}, "version": 1}
    index, skeletons = tmp_path / "results/index/mine.tsv", tmp_path / "results/skeletons/mine.h5"
    index_clips(Indexing.model_validate(own), index, folder)
    prepare_skeletons(index, skeletons, Preparation.model_validate(own), folder)
    made_anew = SkeletonStore(skeletons)
    assert len(made_anew) == len(source)
    assert list(made_anew.failed) == ["a0_9_1"]
    _, history = trained(skeletons, lambda b: None)
    assert len(history) == 2


def test_a_detector(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("clip_rgb.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[8:40, 20:36] = 255
    for _ in range(10):
        writer.write(frame)
    writer.release()
    (tmp_path / "clip_rgb.avi").rename(tmp_path / "S001C001P001R001A001_rgb.avi")
    (tmp_path / "S001C001P001R001A001.skeleton").write_text("0")
    (tmp_path / "none").touch()
    ntu = {"reader": "ntu", "options": {"use_missing_list": False}, "version": 1}
    index_clips(Indexing.model_validate(ntu), tmp_path / "index.tsv", tmp_path, tmp_path)
    detector = {"architecture": "bright", "weights": "none", "options": {"threshold": 100}}
    settings = Cropping.model_validate({**ntu, "video": {"detector": detector}})
    crop_people(tmp_path / "index.tsv", tmp_path, tmp_path, (0, 1), tmp_path / "crops.h5", settings, 1)
    boxes = store.Shards([tmp_path / "crops.h5"], "mmcl.crops/1").read("boxes")[0]
    assert np.abs(boxes - [20, 8, 36, 40]).max() <= 1
    assert settings.dump()["video"]["detector"]["options"] == {"threshold": 100}
