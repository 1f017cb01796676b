"""Trained models in Python give the numbers of `mmcl predict`."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import mmcl
from mmcl.cli import app
from mmcl.evaluation.recognise import Recogniser, open_recordings, recognise
from mmcl.skeleton.mapping import map_joints

STORE = "results/skeletons/demo.h5"
JOINT = "stgcn16-natural-joint"


@pytest.fixture
def model(here):
    return mmcl.load("results/demo_xsub")


@pytest.fixture
def store(here):
    return mmcl.open_store(STORE)


def test_mmcl_alone_is_light():
    code = "import sys, mmcl; print({'torch', 'numpy', 'pandas', 'h5py'} & set(sys.modules), mmcl.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"set() {mmcl.__all__}\n"


def test_all_that_is_offered_is_there():
    for name in mmcl.__all__:
        assert getattr(mmcl, name).__doc__
        assert name in dir(mmcl)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = mmcl.lod


def test_what_a_model_says_of_itself(model):
    assert model.classes == model.class_names == ["a0", "a1", "a2", "a3"]
    assert (model.layout, model.persons, len(model.joints)) == ("utd20", 1, 20)
    assert model.members == [JOINT, "stgcn16-natural-bone"]
    assert model.weights == [0.5, 0.5]
    assert repr(model) == f"<mmcl.Model of 4 classes, layout utd20: {JOINT}, stgcn16-natural-bone>"


def test_a_store_gives_the_numbers_of_the_command(model, here):
    found = model.predict(STORE)
    written = CliRunner().invoke(app, ["predict", "demo_xsub", STORE, "--top", "4"])
    assert written.exit_code == 0, written.stderr
    rows = list(csv.DictReader(io.StringIO(written.stdout)))
    table = found.to_pandas(4)
    for column in ("name", "class_id", "class_name"):
        assert table[column].tolist() == [row[column] for row in rows]
    assert [f"{score:.4f}" for score in table["score"]] == [row["score"] for row in rows]
    # and bit for bit those that it rounds
    recogniser = Recogniser.load(
        [one / "model.pt" for one in sorted(here.glob("results/streams/*/*/*/*/seed-1"), reverse=True)],
        [0.5, 0.5],
        torch.device("cpu"),
    )
    for one in recognise(recogniser, open_recordings(here / STORE), 4):
        if not isinstance(one.best, Exception):
            assert one.best == found.top(4)[found.names.index(one.name)]
    assert found.failed == {"bad_s1": "empty", "bad_s2": "empty"}
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    assert len(found) == 32


def test_arrays_of_every_shape_are_the_same_clip(model, store):
    name = store.names[3]
    clip = store.clip(name)
    expected = model.predict(STORE, names=[name]).probabilities
    for given in (clip, clip[:, 0], [clip], {name: clip}, clip[None], clip.astype(np.float64), (clip[:, 0],)):
        found = model.predict(given)
        np.testing.assert_array_equal(found.probabilities, expected)
        assert found.names == ([name] if isinstance(given, dict) else ["clip 0"])
    assert model.predict([]).probabilities.shape == (0, 4)
    assert model.predict(torch.from_numpy(clip)).top()[0][0].class_id == found.top()[0][0].class_id


def test_several_clips_of_any_length(model, store):
    clips = [store.clip(name) for name in store.names[:5]]
    assert len({len(clip) for clip in clips}) > 1
    expected = model.predict(STORE, names=store.names[:5])
    np.testing.assert_array_equal(model.predict(clips).probabilities, expected.probabilities)


def test_joints_of_another_layout_are_mapped(model):
    clip = np.random.default_rng(0).normal(0, 0.3, (12, 1, 25, 3)).astype(np.float32)
    found = model.predict(clip, layout="ntu25", unchecked=True)
    expected = model.predict(map_joints(clip, "ntu25", "utd20"), unchecked=True)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    with pytest.raises(mmcl.UserError, match="clip 0: has 25 joints, layout coco17 17"):
        model.predict(clip, layout="coco17")


def test_clips_unlike_the_training_are_refused(model, store):
    clip = store.clip(store.names[0])
    with pytest.raises(mmcl.UserError, match=r"clip 1: its bones are .* times as long .*: another unit"):
        model.predict([clip, 100 * clip])
    assert len(model.predict([clip, 100 * clip], unchecked=True)) == 2
    larger = model.predict({"large": 1.7 * clip})
    assert list(larger.unlike) == ["large"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 20)), r"clip 0: has the shape \(4, 20\), expected \(frames, joints, 2 or 3\)"),
        (np.zeros((4, 20, 4)), r"expected \(frames, joints, 2 or 3\)"),
        (np.ones((4, 19, 3)), r"shape \(4, 1, 19, 3\), expected \(frames, people, 20, 3\) of layout utd20"),
        (np.zeros((4, 20, 3)), "clip 0: has nobody in it"),
        (np.full((4, 20, 3), np.nan), "clip 0: has values that are not finite"),
        ({"x": [["a"]]}, "x: is no array of numbers"),
        (np.ones((0, 20, 3)), r"shape \(0, 1, 20, 3\)"),
    ],
)
def test_arrays_that_are_no_clips(model, given, message):
    with pytest.raises(mmcl.UserError, match=message):
        model.predict(given)


def test_two_dimensions_are_those_of_a_flat_skeleton(model, store):
    clip = store.clip(store.names[0])
    flat = clip * (1, 1, 0)
    found = model.predict(clip[..., :2], unchecked=True)
    np.testing.assert_array_equal(found.probabilities, model.predict(flat, unchecked=True).probabilities)


def test_recordings(model, here):
    found = model.predict("recordings", reader="own", options={"layout": "utd20"})
    assert found.names == ["a0_s1", "a1_s2"]
    one = model.predict(here / "recordings/a1_s2.npz", reader="own", options={"layout": "utd20"})
    np.testing.assert_allclose(one.probabilities[0], found.probabilities[1], atol=1e-6)
    (here / "recordings/damaged.npz").write_bytes(b"no")
    try:
        damaged = model.predict("recordings", reader="own", options={"layout": "utd20"})
        assert list(damaged.failed) == ["damaged"]
        with pytest.raises(mmcl.UserError, match="none of the clips could be read; the first is damaged: "):
            model.predict("recordings", reader="own", options={"layout": "utd20"}, names=["damaged"])
    finally:
        (here / "recordings/damaged.npz").unlink()


def test_arguments_that_do_not_go_together(model):
    with pytest.raises(mmcl.UserError, match="layout: is of arrays"):
        model.predict(STORE, layout="ntu25")
    with pytest.raises(mmcl.UserError, match="are of a path"):
        model.predict(np.ones((4, 20, 3)), reader="own")
    with pytest.raises(mmcl.UserError, match="has no clip a9_s9"):
        model.predict(STORE, names=["a9_s9"])


def test_features_are_what_the_classifier_sees(model, store):
    with pytest.raises(mmcl.UserError, match=f"an ensemble of 2 streams .*: {JOINT}, stgcn16-natural-bone"):
        model.features(STORE)
    stream = mmcl.load("demo_xsub", member=JOINT)
    net = stream.recogniser.first.model.backbone
    found = stream.features(STORE)
    assert found.values.shape == (32, net.feature_dim)
    assert found.failed == {"bad_s1": "empty", "bad_s2": "empty"}
    with torch.no_grad():
        logits = net.classify(torch.from_numpy(found.values)).double()
    np.testing.assert_allclose(logits.softmax(1), stream.predict(STORE).probabilities, atol=1e-6)
    clips = [store.clip(name) for name in store.names]
    np.testing.assert_array_equal(stream.features(clips).values, found.values)


def test_what_can_be_loaded(here):
    whole, folder = mmcl.load("demo_xsub"), next(here.glob("results/streams/*/*/*joint/*/seed-1"))
    member = mmcl.load(here / "results/demo_xsub/ensemble.json", member=JOINT, device="cpu", precision="fp32")
    assert len(whole.members) == 2
    for named in (folder, folder / "model.pt"):
        one = mmcl.load(named)
        assert one.members == member.members == [JOINT]
        np.testing.assert_array_equal(one.predict(STORE).probabilities, member.predict(STORE).probabilities)


@pytest.mark.parametrize(
    ("named", "how", "message"),
    [
        ("nothing", {}, "nothing: neither a finished benchmark"),
        ("joint.onnx", {}, "joint.onnx: an exported file"),
        ("demo_xsub", {"member": "ctrgcn"}, "no member 'ctrgcn'"),
        ("demo_xsub", {"device": "gpus"}, "device: 'gpus' is no device"),
        ("demo_xsub", {"device": "cuda:99"}, "device: cuda:99 is not there"),
        ("demo_xsub", {"precision": "half"}, "precision: 'half'; it may be fp32, tf32 or bf16"),
    ],
)
def test_what_cannot_be_loaded(here, named, how, message):
    with pytest.raises(mmcl.UserError, match=message):
        mmcl.load(named, **how)
