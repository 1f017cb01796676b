import json
import zipfile
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import scipy.io
from seeds import shifted

from mmcl.errors import UserError
from mmcl.layouts import get_layout, names
from mmcl.report.layout_pictures import rest_pose
from mmcl.skeleton.mapping import joint_map, map_joints

PAIRS = list(product(names(), names()))


@pytest.mark.parametrize("source", ["utd20", "ucla20", "sysu20"])
def test_weights_sum_to_one(source):
    for parts in joint_map(source, "ntu25"):
        assert sum(parts.values()) == 1


def test_utd_to_ntu():
    x = np.random.default_rng(shifted(0)).normal(size=(4, 1, 20, 3)).astype(np.float32)
    y = map_joints(x, "utd20", "ntu25")
    assert y.shape == (4, 1, 25, 3)
    assert y.dtype == np.float32
    # the table of mmcl-method.md section 7, counted from 1
    for ntu, utd in {1: 4, 2: 3, 21: 2, 4: 1, 23: 8, 25: 12, **{i: i for i in range(5, 21)}}.items():
        np.testing.assert_allclose(y[..., ntu - 1, :], x[..., utd - 1, :], atol=1e-6)
    np.testing.assert_allclose(y[..., 2, :], (x[..., 0, :] + x[..., 1, :]) / 2, atol=1e-6)
    np.testing.assert_allclose(y[..., 21, :], 1.5 * x[..., 7, :] - 0.5 * x[..., 6, :], atol=1e-6)
    np.testing.assert_allclose(y[..., 23, :], 1.5 * x[..., 11, :] - 0.5 * x[..., 10, :], atol=1e-6)


def test_moving_the_source_moves_the_result():
    x = np.random.default_rng(shifted(0)).normal(size=(2, 20, 3))
    np.testing.assert_allclose(map_joints(x + 5, "ucla20", "ntu25"), map_joints(x, "ucla20", "ntu25") + 5)


def test_back_and_same():
    x = np.random.default_rng(shifted(0)).normal(size=(2, 20, 3))
    np.testing.assert_allclose(map_joints(map_joints(x, "utd20", "ntu25"), "ntu25", "utd20"), x)
    np.testing.assert_allclose(map_joints(x, "utd20", "utd20"), x)
    head = get_layout("ucla20").index("head")
    np.testing.assert_allclose(map_joints(x, "utd20", "ucla20")[:, head], x[:, 0])


def test_unknown_layout():
    with pytest.raises(UserError, match=r"no joint layout 'ntu26'; there are: .*ntu25"):
        map_joints(np.zeros((1, 20, 3)), "utd20", "ntu26")


def clip(name, seed=0):
    return (
        np.random.default_rng(shifted(seed)).normal(size=(2, 3, len(get_layout(name)), 3)).astype(np.float32)
    )


def mirrored(x, name):
    """Left and right joints exchanged, and the picture turned over."""
    order = list(range(len(get_layout(name))))
    for left, right in get_layout(name).left_right:
        order[left], order[right] = right, left
    return x[..., order, :] * np.array([-1, 1, 1], x.dtype)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_any_to_any(source, target):
    x = clip(source)
    x[1, 2] = 0
    y = map_joints(x, source, target)
    assert y.shape == (2, 3, len(get_layout(target)), 3)
    for parts in joint_map(source, target):
        assert sum(parts.values()) == pytest.approx(1, abs=1e-12)
    assert not y[1, 2].any()
    np.testing.assert_allclose(map_joints(x + 5, source, target), y + 5, atol=1e-5)
    np.testing.assert_allclose(
        map_joints(mirrored(x, source), source, target), mirrored(y, target), atol=1e-6
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_there_and_back(source, target):
    x = clip(source)
    back = map_joints(map_joints(x, source, target), target, source)
    both = [i for i, joint in enumerate(get_layout(source).joints) if joint in get_layout(target).joints]
    assert len(both) >= 12  # the limbs
    np.testing.assert_array_equal(back[..., both, :], x[..., both, :])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_joints_come_where_they_belong(source, target):
    """On somebody who stands: joints of the face and the hands within a head or a hand, the others closer."""
    pose = map_joints(rest_pose(get_layout(source)), source, target)
    distance = np.linalg.norm(pose - rest_pose(get_layout(target)), axis=-1)
    for joint, off in zip(get_layout(target).joints, distance, strict=True):
        part = joint.rpartition("_")[0] or joint
        coarse = part.startswith(("eye", "ear", "mouth"))
        assert off < (0.32 if coarse else 0.2), joint


def test_coco_to_ntu():
    coco, ntu = get_layout("coco17"), get_layout("ntu25")
    made = {
        ntu.joints[i]: {coco.joints[j]: weight for j, weight in parts.items()}
        for i, parts in enumerate(joint_map("coco17", "ntu25"))
    }
    assert made["spine_base"] == {"hip_left": 0.5, "hip_right": 0.5}
    assert made["spine_shoulder"] == {"shoulder_left": 0.5, "shoulder_right": 0.5}
    assert made["spine_mid"] == dict.fromkeys(
        ("shoulder_left", "shoulder_right", "hip_left", "hip_right"), 0.25
    )
    assert made["neck"] == dict.fromkeys(("shoulder_left", "shoulder_right", "ear_left", "ear_right"), 0.25)
    assert made["hand_left"] == made["thumb_left"] == {"wrist_left": 1.3, "elbow_left": -0.3}
    assert made["hand_tip_right"] == pytest.approx({"wrist_right": 1.45, "elbow_right": -0.45})
    assert made["foot_right"] == {"ankle_right": 1}
    assert made["elbow_left"] == {"elbow_left": 1}


def test_a_rule_with_joints_that_are_there_comes_first(tmp_path):
    file = tmp_path / "bust.json"
    rules = {"chin": [{"neck": 1}, {"spine_base": 1}]}
    own = {"centre": "chest", "joints": {"chest": "chest", "chin": "chest"}, "rules": rules}
    own["rules"]["chest"] = {"spine_shoulder": 0.5, "spine_mid": 0.5}
    file.write_text(json.dumps(own))
    ucla = get_layout("ucla20")  # has no neck, which could be made
    assert joint_map("ucla20", str(file)) == [
        {ucla.index("spine_shoulder"): 0.5, ucla.index("spine_mid"): 0.5},
        {ucla.index("spine_base"): 1},
    ]


def test_what_cannot_be_made_is_listed(tmp_path):
    file = tmp_path / "mine.json"
    joints = {"head": "head", "tail": "head", "hand_left": "head", "hand_right": "head"}
    file.write_text(json.dumps({"centre": "head", "joints": joints}))
    with pytest.raises(
        UserError, match=r"mine.json cannot be made from ucla20, which has no tail and nothing"
    ):
        joint_map("ucla20", str(file))
    with pytest.raises(UserError, match=r"which has no .*elbow_left, .*ankle_right and nothing"):
        joint_map(str(file), "coco17")


def real_skeletons(folder, name):
    """Every 40th clip of NW-UCLA or UTD-MHAD: (frames, 20, 3)."""
    file = {"ucla20": "nw-ucla-skeleton.zip", "utd20": "utd-mhad-skeleton.zip"}[name]
    with zipfile.ZipFile(folder / file) as archive:
        clips = [member for member in sorted(archive.namelist()) if member.endswith((".json", ".mat"))][::40]
        if name == "ucla20":
            frames = [json.loads(archive.read(member))["skeletons"] for member in clips]
        else:
            frames = [
                scipy.io.loadmat(BytesIO(archive.read(member)))["d_skel"].transpose(2, 0, 1)
                for member in clips
            ]
    return np.concatenate([np.reshape(one, (-1, 20, 3)) for one in frames])


@pytest.mark.parametrize("name", ["ucla20", "utd20"])
def test_real_bodies_stay_bodies(mmcl_data, name):
    ntu = get_layout("ntu25")
    x = real_skeletons(mmcl_data, name)
    y = map_joints(x, name, "ntu25")
    assert len(x) > 500

    def between(one, other):
        return np.median(np.linalg.norm(y[:, ntu.index(one)] - y[:, ntu.index(other)], axis=-1))

    # metres; the neck lies half-way up to the head
    assert 0.08 < between("neck", "spine_shoulder") < 0.11
    assert between("neck", "head") == pytest.approx(between("neck", "spine_shoulder"), rel=1e-3)
    for side in ("left", "right"):
        assert 0.02 < between(f"hand_tip_{side}", f"hand_{side}") < 0.06
        assert between(f"thumb_{side}", f"hand_{side}") < 1e-6
        assert 0.2 < between(f"wrist_{side}", f"elbow_{side}") < 0.3

    # what the rules of pose estimators would make of the same bodies, against what the Kinect saw
    kinect = get_layout(name)
    pose = map_joints(map_joints(x, name, "coco17"), "coco17", name)
    off = np.median(np.linalg.norm(pose - x, axis=-1), axis=0)
    limits = {"hand": 0.05, "foot": 0.11, "spine_base": 0.1, "spine_shoulder": 0.13, "spine_mid": 0.2}
    for joint in kinect.joints:
        part = joint.removesuffix("_left").removesuffix("_right")
        assert off[kinect.index(joint)] <= limits.get(part, 1e-6), joint
