"""Recognising clips, and the commands that work on a trained model."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from datasets.made_recordings import write_ntu
from made_bodies import body
from made_stores import make_stores, stream_settings
from system_calls import asked_for, can_trace, need_trace, traced
from typer.testing import CliRunner

from mmcl import checkpoints
from mmcl.cli import app
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.recognise import Recogniser
from mmcl.evaluation.score import predict
from mmcl.layouts import get_layout
from mmcl.skeleton.cleaning import centred
from mmcl.skeleton.mapping import map_joints
from mmcl.skeleton.statistics import training_clips
from mmcl.training.train import train_stream
from mmcl.training.trained import load_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with FAM and FRM, and the store that it was trained on."""
    folder = tmp_path_factory.mktemp("trained")
    stores = make_stores(folder)
    settings = stream_settings(train__epochs=2, model__backbone="stgcn16")
    train_stream(
        skeletons=stores["skeletons"],
        inputs={"picture": [stores["rgb"]], "answer": [stores["answers"]]},
        output=folder / "model.pt",
        settings=settings,
    )
    return folder / "model.pt", stores["skeletons"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_prints_the_best_classes(trained):
    model, store = trained
    result = run("predict", model, store, "--names", "a2_s2", "--names", "a0_s4", "--top", "3")
    assert result.exit_code == 0, result.stderr
    table = rows(result.stdout)
    assert [row["name"] for row in table] == ["a2_s2"] * 3 + ["a0_s4"] * 3
    assert [row["rank"] for row in table] == ["1", "2", "3"] * 2
    source = SkeletonStore(store)
    logits = predict(load_model(model), [source.clip(source.names.index("a2_s2"))])[0].astype(float)
    order = logits.argsort()[::-1][:3]
    assert [row["class_id"] for row in table[:3]] == [f"a{label}" for label in order]
    expected = np.exp(logits - logits.max())[order] / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose([float(row["score"]) for row in table[:3]], expected, atol=6e-5)
    assert result.stderr == ""


def test_predict_in_bfloat16_gives_nearly_the_same_scores(trained):
    model, store = trained
    source = SkeletonStore(store)
    clips = [source.clip(row) for row in range(5)]
    full, half = (predict(load_model(model), clips, precision) for precision in ("fp32", "bf16"))
    assert 0 < abs(half - full).max() < 0.05 * abs(full).max()
    command = ("predict", model, store, "--names", "a2_s2", "--precision")
    assert rows(run(*command, "bf16").stdout)[0]["name"] == "a2_s2"
    refused = run(*command, "half")
    assert refused.exit_code == 2
    assert "fp32" in refused.stderr


def test_clips_that_cannot_be_read_are_named_and_the_others_go_on(trained, tmp_path):
    model, store = trained
    result = run("predict", model, store, "--csv", tmp_path / "guesses.csv")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["mmcl: bad_s1: empty", "mmcl: bad_s2: empty"]
    table = rows((tmp_path / "guesses.csv").read_text())
    assert len(table) == 32 * 4  # no more classes than there are
    result = run("predict", model, store, "--names", "bad_s1")
    assert result.exit_code == 1
    assert "none of the clips could be read" in result.stderr
    result = run("predict", model, store, "--names", "a9_s9")
    assert result.exit_code == 1
    assert "has no clip a9_s9" in result.stderr


def test_recordings_of_another_layout(trained, tmp_path):
    """NTU's 25 joints for a model of 20; the broken file is named."""
    from mmcl.datasets.ntu import NtuReader

    model, _ = trained
    folder = tmp_path / "recordings"
    good = write_ntu(folder, "S001C001P001R001A023")
    (folder / "S001C001P001R001A120.skeleton").write_text("1\n1\nnothing")
    result = run("predict", model, folder, "--reader", "ntu", "--top", "1", "--unchecked")
    assert result.exit_code == 0, result.stderr
    assert [row["name"] for row in rows(result.stdout)] == [good.stem]
    assert "S001C001P001R001A120: " in result.stderr
    reader = NtuReader(folder, None, NtuReader.Options())
    clip = reader.read_clip(next(entry for entry in reader.list_clips() if entry.name == good.stem))
    logits = predict(load_model(model), [map_joints(clip, "ntu25", "utd20")])[0]
    assert rows(result.stdout)[0]["class_id"] == f"a{logits.argmax()}"
    alone = run("predict", model, folder / good.name, "--reader", "ntu", "--top", "1", "--unchecked")
    assert alone.stdout == result.stdout
    wrong = run("predict", model, folder, "--reader", "ntu", "--option", "person3=absent")
    assert wrong.exit_code == 1
    assert "options.person3: unknown key; did you mean 'person2'?" in wrong.stderr
    assert run("predict", model, folder, "--option", "person2=duplicated").exit_code == 2


@pytest.fixture(scope="module")
def upright(trained, tmp_path_factory):
    """The model as if it had been trained with people who stand, and a folder for recordings of its 20 joints."""
    model, _ = trained
    content = checkpoints.read(model)
    people = training_clips([standing(seed) for seed in range(30)], "utd20")
    folder = tmp_path_factory.mktemp("upright")
    checkpoints.save(folder / "model.pt", content | {"training_clips": people.dump()})
    return folder / "model.pt"


def standing(seed):
    clip = body(seed, name="utd20").astype(np.float32)
    return centred(clip, np.ones(clip.shape[:2], bool), get_layout("utd20").centre)


def own_files(folder, clips):
    folder.mkdir()
    for name, clip in clips.items():
        np.savez(folder / f"{name}.npz", joints=clip[:, 0])
    return folder, "--reader", "own", "--option", "layout=utd20", "--top", "1"


UPSIDE_DOWN = np.array([1, -1, -1], np.float32)


def test_clips_unlike_the_training_are_refused_and_the_others_go_on(upright, tmp_path):
    clips = {
        "a": standing(50),
        "b": UPSIDE_DOWN * standing(51),
        "c": 1.7 * standing(52),
        "d": 30 * standing(53),
    }
    recordings = own_files(tmp_path / "clips", clips)
    result = run("predict", upright, *recordings)
    assert result.exit_code == 0, result.stderr
    assert [row["name"] for row in rows(result.stdout)] == ["a", "c"]
    said = result.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["b", "d", "c"]
    assert "upright along −y, the training's along +y" in said[0]
    assert "option scale (metres per unit)" in said[1]
    assert said[2].endswith("(1 of 2 clips)")
    scaled = run("predict", upright, *recordings, "--option", "scale=0.033", "--names", "d")
    assert [row["name"] for row in rows(scaled.stdout)] == ["d"]
    every = run("predict", upright, *recordings, "--unchecked")
    assert [row["name"] for row in rows(every.stdout)] == ["a", "b", "c", "d"]
    assert "upright along −y" in every.stderr


def test_recordings_all_unlike_the_training_end_the_command(upright, tmp_path):
    recordings = own_files(tmp_path / "clips", {f"c{i}": UPSIDE_DOWN * standing(i) for i in range(3)})
    result = run("predict", upright, *recordings)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "mmcl: c0 is unlike the clips of the training (as are the 2 clips after it): "
    )
    assert result.stderr.count("\n") == 1


def test_the_python_call_centres_and_checks_as_the_command_does(upright, tmp_path):
    clips = {"a": standing(50) + np.float32(2), "b": standing(51)}
    printed = rows(run("predict", upright, *own_files(tmp_path / "clips", clips)).stdout)
    recogniser = Recogniser.load([upright], [1.0], torch.device("cpu"))
    scores = recogniser.scores(list(clips.values()))
    np.testing.assert_allclose([float(row["score"]) for row in printed], scores.max(1), atol=6e-5)
    centred_here = recogniser.scores([standing(50), standing(51)])
    np.testing.assert_allclose(scores, centred_here, atol=1e-4)
    upside_down = UPSIDE_DOWN * standing(51)
    with pytest.raises(UserError, match="clip 1: its body is upright along −y"):
        recogniser.scores([standing(50), upside_down])
    assert recogniser.scores([upside_down], unchecked=True).shape == (1, 4)
    nan = standing(50)
    nan[3, 0, 2, 1] = np.nan
    wrong = {
        "shape": standing(50)[:, 0],
        "finite": nan,
        "nobody": 0 * nan[:3],
        "of layout utd20": standing(50)[:, :, :17],
    }
    for what, clip in wrong.items():
        with pytest.raises(UserError, match=rf"clip 0: .*{what}"):
            recogniser.scores([clip])


def test_a_model_of_an_earlier_version_says_that_nothing_is_checked(trained, tmp_path):
    model, store = trained
    content = checkpoints.read(model)
    assert content.pop("training_clips")["centre"] is None  # made clips are not centred
    checkpoints.save(tmp_path / "model.pt", content)
    result = run("predict", tmp_path / "model.pt", store, "--names", "a2_s2", "--top", "1")
    assert result.exit_code == 0
    assert result.stdout == run("predict", model, store, "--names", "a2_s2", "--top", "1").stdout
    assert "is not checked" in result.stderr


def test_an_export_asks_nobody_and_leaves_nothing(trained, tmp_path):
    model, _ = trained
    home, calls = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    command = [sys.executable, "-m", "mmcl", "export", str(model), str(tmp_path / "joint.onnx")]
    prefix = traced(calls) if can_trace() else ()
    subprocess.run([*prefix, *command], env={**env, "HOME": str(home)}, check=True, capture_output=True)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    need_trace()
    assert asked_for(calls) == []


def test_an_exported_model_holds_the_backbone_alone(trained, tmp_path):
    model, _ = trained
    result = run("export", model, tmp_path / "joint.onnx")
    assert result.exit_code == 0, result.stderr
    session = onnxruntime.InferenceSession(tmp_path / "joint.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["a0", "a1", "a2", "a3"]
    expected = {"stream": "joint", "layout": "utd20", "window": "8", "persons": "1", "test_crop": "0.95"}
    assert {key: about[key] for key in expected} == expected
    trained_model = load_model(model)
    assert session.get_inputs()[0].shape[1:] == [3, 8, 20, 1]
    x = 0.3 * torch.randn(3, 3, 8, 20, 1)
    with torch.no_grad():
        expected = trained_model.model(x)
    found = session.run(None, {"clips": x.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.abs().max().item())

    graph = onnx.load(tmp_path / "joint.onnx").graph
    held = np.concatenate([onnx.numpy_helper.to_array(tensor).ravel() for tensor in graph.initializer])
    net = trained_model.model
    assert held.size < 1.5 * sum(p.numel() for p in net.backbone.parameters())
    assert np.isin(net.backbone.head.weight.detach(), held).all()
    for parameter in (*net.fam.parameters(), *net.frm.parameters()):
        if parameter.dim() > 1:  # what is learned at random; biases may be zero
            assert not np.isin(parameter.detach(), held).all()


def test_describe_tells_what_inference_does_without(trained):
    model, _ = trained
    result = run("describe", model)
    assert result.exit_code == 0, result.stderr
    net = load_model(model).model
    counts = {
        name: sum(p.numel() for p in getattr(net, name).parameters()) for name in ("backbone", "fam", "frm")
    }
    assert f"{counts['backbone']:,}" in result.stdout
    assert f"FAM {counts['fam']:,}, FRM {counts['frm']:,} parameters" in result.stdout
    assert "input (N, 3, 8, 20, 1)" in result.stdout


def test_describe_without_a_model():
    result = run("describe", "--all")
    assert result.exit_code == 0, result.stderr
    for name, parameters in [("ctrgcn", "1,462,092"), ("hdgcn", "1,675,400"), ("infogcn", "1,572,227")]:
        assert any(name in line and parameters in line for line in result.stdout.splitlines())
    result = run(
        "describe", "--backbone", "ctrgcn", "--classes", "10", "--layout", "ucla20", "--persons", "1"
    )
    assert "1,426,892" in result.stdout
    assert run("describe", "--backbone", "gcn").exit_code == 1
    assert run("describe").exit_code == 2


def test_a_data_set_is_recognised_by_its_name_with_its_columns(trained, tmp_path, monkeypatch):
    """Without labels; further columns of its table stand beside the predictions."""
    model, store = trained
    source = SkeletonStore(store)
    (tmp_path / "clips").mkdir()
    for name in source.names[:2]:
        np.savez(tmp_path / "clips" / f"{name}.npz", joints=source.clip(source.names.index(name))[:, 0])
    (tmp_path / "mine.csv").write_text(f"name,age,score\n{source.names[0]},31,good\n{source.names[1]},,\n")
    (tmp_path / "config.yaml").write_text(
        "instruction: what?\nbenchmarks: {}\ndatasets:\n"
        "  mine: {reader: own, skeletons: clips, options: {layout: utd20, clips: mine.csv}}\n"
    )
    monkeypatch.chdir(tmp_path)
    result = run("predict", model, "mine", "--top", "1", "--unchecked")
    assert result.exit_code == 0, result.output
    found = rows(result.stdout)
    assert [(row["name"], row["age"], row["score_"]) for row in found] == [
        (source.names[0], "31", "good"),
        (source.names[1], "", ""),
    ]
    assert all(0 < float(row["score"]) <= 1 for row in found)
