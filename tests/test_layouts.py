import json
import re
import subprocess
import sys

import pytest

from mmcl.errors import UserError
from mmcl.layouts import get_layout, names

NTU_PAIRS = (
    "1,2 2,21 3,21 4,3 5,21 6,5 7,6 8,7 9,21 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19"
    " 21,21 22,23 23,8 24,25 25,12"
)
UCLA_PAIRS = (
    "1,2 2,3 3,3 4,3 5,3 6,5 7,6 8,7 9,3 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19"
)


def pairs(text):
    return tuple(tuple(int(number) - 1 for number in pair.split(",")) for pair in text.split())


@pytest.mark.parametrize(
    ("name", "expected"), [("ntu25", NTU_PAIRS), ("ucla20", UCLA_PAIRS), ("sysu20", UCLA_PAIRS)]
)
def test_bone_pairs_are_ctr_gcns(name, expected):
    assert get_layout(name).bone_pairs == pairs(expected)
    assert len(get_layout(name).edges) == len(get_layout(name)) - 1


@pytest.mark.parametrize("name", names())
def test_layouts_are_trees_with_pairs(name):
    one = get_layout(name)
    for joint in range(len(one)):
        for _ in range(len(one)):
            joint = one.parents[joint]
        assert joint == one.root
    assert len(set(one.joints)) == len(one)
    assert all(one.joints[left][:-4] == one.joints[right][:-5] for left, right in one.left_right)
    mirror = dict(one.left_right) | {right: left for left, right in one.left_right}
    assert list(one.hd_groups) == ["hd1", "hd2", "hd21"]
    for groups in one.hd_groups.values():
        assert sorted(joint for group in groups for joint in group) == list(range(len(one)))
        for group in groups:
            assert {mirror.get(joint, joint) for joint in group} == set(group)
    for child, parent in one.bone_pairs:
        assert one.parents[mirror.get(child, child)] == mirror.get(parent, parent)


@pytest.mark.parametrize(
    ("name", "joints", "pairs", "root", "centre"),
    [
        ("ntu25", 25, 10, "spine_shoulder", "spine_mid"),
        ("ucla20", 20, 8, "spine_shoulder", "spine_mid"),
        ("utd20", 20, 8, "spine_shoulder", "spine_mid"),
        ("sysu20", 20, 8, "spine_shoulder", "spine_mid"),
        ("coco17", 17, 8, "nose", "nose"),
        ("openpose18", 18, 8, "spine_shoulder", "spine_shoulder"),
        ("openpose25", 25, 11, "spine_shoulder", "spine_base"),
        ("mediapipe33", 33, 16, "nose", "nose"),
    ],
)
def test_every_layout(name, joints, pairs, root, centre):
    one = get_layout(name)
    assert (len(one), len(one.left_right)) == (joints, pairs)
    assert (one.joints[one.root], one.joints[one.centre]) == (root, centre)
    assert len(names()) == 8


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("coco17", {"nose": 0, "eye_left": 1, "ear_right": 4, "shoulder_left": 5, "wrist_right": 10, "ankle_left": 15}),
        ("openpose18", {"spine_shoulder": 1, "wrist_right": 4, "wrist_left": 7, "ankle_right": 10, "ear_left": 17}),
        ("openpose25", {"wrist_left": 7, "spine_base": 8, "ankle_left": 14, "eye_right": 15, "heel_right": 24}),
        ("mediapipe33", {"eye_outer_right": 6, "mouth_left": 9, "pinky_left": 17, "big_toe_right": 32}),
    ],
)  # fmt: skip
def test_numbers_of_the_specifications(name, numbers):
    assert {joint: get_layout(name).index(joint) for joint in numbers} == numbers


def test_bones_of_pose_estimators():
    # ST-GCN's graph of the 18 OpenPose joints; PYSKL's of COCO's
    openpose = "4,3 3,2 7,6 6,5 13,12 12,11 10,9 9,8 11,5 8,2 5,1 2,1 0,1 15,0 14,0 17,15 16,14"
    coco = "15,13 13,11 16,14 14,12 11,5 12,6 9,7 7,5 10,8 8,6 5,0 6,0 1,0 3,1 2,0 4,2"
    for name, text in (("openpose18", openpose), ("coco17", coco)):
        assert {(c + 1, p + 1) for c, p in pairs(text)} == set(get_layout(name).edges)


def test_numbers():
    assert (get_layout("ntu25").root, get_layout("ntu25").centre) == (20, 1)
    assert (get_layout("ucla20").root, get_layout("ucla20").centre) == (2, 1)
    assert (get_layout("utd20").root, get_layout("utd20").centre) == (1, 2)
    assert len(get_layout("ntu25").left_right) == 10
    assert len(get_layout("utd20").left_right) == 8


def test_published_groups():
    groups = {
        key: [sorted(j + 1 for j in g) for g in value] for key, value in get_layout("ntu25").hd_groups.items()
    }
    assert groups["hd1"] == [
        [1], [2, 13, 17], [14, 18, 21], [3, 5, 9, 15, 19], [4, 6, 10, 16, 20], [7, 11],
        [8, 12, 22, 23, 24, 25],
    ]  # fmt: skip
    assert [len(g) for g in groups["hd2"]] == [1, 2, 5, 5, 4, 4, 4]
    assert [a * b for a, b in zip(map(len, groups["hd21"]), map(len, groups["hd21"][1:]), strict=False)] == [
        4, 16, 16, 16, 24, 12,
    ]  # fmt: skip


def test_own_groups_are_hop_distances():
    groups = [[j + 1 for j in group] for group in get_layout("ucla20").hd_groups["hd21"]]
    assert groups == [[3], [2, 4, 5, 9], [1, 6, 10], [7, 11, 13, 17], [8, 12, 14, 18], [15, 19], [16, 20]]


def test_groups_around_a_missing_centre():
    coco = get_layout("coco17")
    groups = [[coco.joints[joint] for joint in group] for group in coco.hd_groups["hd1"][:3]]
    assert groups == [
        ["hip_left", "hip_right"],
        ["shoulder_left", "shoulder_right", "knee_left", "knee_right"],
        ["nose", "elbow_left", "elbow_right", "ankle_left", "ankle_right"],
    ]


OWN = {
    "source": "made",
    "centre": "spine_base",
    "joints": {
        "spine_base": "spine_base",
        "head": "spine_base",
        "hoof_left": "spine_base",
        "hoof_right": "spine_base",
    },
    "hd_centres": {"hd1": "spine_base", "hd2": ["hoof_left", "hoof_right"]},
    "rules": {
        "head": {"nose": 1},
        "hoof_left": {"hand_left": 1},
        "hoof_right": [{"hand_right": 0.5, "wrist_right": 0.5}],
    },
}


def test_own_layout(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(OWN))
    own = get_layout(str(file))
    assert own.name == str(file)
    assert (own.joints, own.parents) == (tuple(OWN["joints"]), (0, 0, 0, 0))
    assert (own.root, own.centre, own.left_right) == (0, 0, ((2, 3),))
    assert own.hd_groups == {"hd1": ((0,), (1, 2, 3)), "hd2": ((2, 3), (0,), (1,))}
    assert own.rules["hoof_left"] == ({"hand_left": 1},)
    assert own.rules["head"] == ({"nose": 1},)  # instead of the common one
    assert own.rules["neck"] == ({"spine_shoulder": 0.5, "head": 0.5},)
    assert str(file) not in names()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"roots": 1},
            "unknown key 'roots'; there are: centre, hd_centres, hd_groups, joints, rules, source",
        ),
        ({"joints": None}, "joints: needs two or more joints"),
        ({"joints": {"head": "head"}}, "joints: needs two or more joints"),
        ({"joints": {"a b": "c", "c": "c"}}, "joints: 'a b' is no name"),
        ({"joints": {"a": "b", "c": "c"}}, "joints: the parent of a, 'b', is not one of the joints"),
        ({"joints": {"a": ["c"], "c": "c"}}, r"joints: the parent of a, \['c'\], is not one of the joints"),
        ({"joints": {"a": "a", "b_left": "a"}}, "joints: b_left has no b_right"),
        ({"joints": {"a": "a", "b_right": "a"}}, "joints: b_right has no b_left"),
        ({"joints": {"a": "a", "c": "c"}}, "the root, must be its own parent; found: a, c"),
        ({"joints": {"a": "c", "c": "a"}}, "the root, must be its own parent; found: none"),
        (
            {"joints": {"a": "a", "b": "c", "c": "b"}},
            "joints: b is not connected to a: its parents form a cycle",
        ),
        ({"centre": "spine"}, "centre: 'spine' is not one of the joints"),
        ({"centre": ["head"]}, r"centre: \['head'\] is not one of the joints"),
        ({"hd_centres": {"hd3": "head"}}, "hd_centres: takes hd1, hd2, hd21 and nothing else"),
        ({"hd_centres": {"hd1": "spine"}}, "hd_centres: hd1: 'spine' is not one or several of the joints"),
        ({"hd_centres": {"hd1": []}}, r"hd_centres: hd1: \[\] is not one or several of the joints"),
        ({"hd_groups": {}}, "hd_groups and hd_centres: give one of them"),
        ({"rules": []}, "rules: must be"),
        ({"rules": {"neck": {"head": 1}}}, "rules: 'neck' is not one of the joints"),
        ({"rules": {"head": {}}}, "rules: head: must be"),
        ({"rules": {"head": []}}, "rules: head: must be"),
        ({"rules": {"head": {"nose": "1"}}}, "rules: head: weights must be numbers"),
        ({"rules": {"head": {"nose": 0.5, "ear": 0.4}}}, "rules: head: weights sum to 0.9, not to 1"),
        ({"rules": {"head": {"nose": float("nan")}}}, "rules: head: weights must lie between -100 and 100"),
        ({"rules": {"head": {"nose": 10**400, "ear": 1 - 10**400}}}, "rules: head: weights must lie between"),
        ({"rules": {"head": {"head": 1}}}, "rules: head: cannot replace itself"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path, change, message):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(OWN | change))
    with pytest.raises(UserError, match=f"mine.json: .*{message}"):
        get_layout(str(file))


def test_groups_hold_every_joint_once(tmp_path):
    file = tmp_path / "mine.json"
    own = {key: value for key, value in OWN.items() if key != "hd_centres"}
    for groups in (
        [["head"], ["spine_base"]],
        "head",
        [["head", "head", "hoof_left", "hoof_right", "spine_base"]],
    ):
        file.write_text(json.dumps(own | {"hd_groups": {"hd1": groups}}))
        with pytest.raises(UserError, match="hd_groups: hd1 must be groups that hold every joint once"):
            get_layout(str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "mine.json: cannot be read as a joint layout: No such file"),
        (b"{", "mine.json: cannot be read as a joint layout: "),
        (b"\xff\xfe{}", "mine.json: cannot be read as a joint layout: "),
        (b"[1]", "mine.json: a joint layout is an object"),
        (b'{"joints": {"a": "a", "a": "a"}}', "mine.json: cannot be read .*'a' occurs twice"),
        (b" " * 1_000_001, "mine.json: cannot be read .*larger than 1000000 bytes"),
        (b"[" * 100_000, "mine.json: cannot be read as a joint layout: "),
    ],
)
def test_no_layout_file(tmp_path, content, message):
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        get_layout(str(file))


def test_the_document_is_right(project, tmp_path):
    text = (project / "docs" / "layouts.md").read_text()
    for name in names():
        one = get_layout(name)
        assert f"| `{name}` | {len(one)} | {one.joints[one.root]} | {one.joints[one.centre]} |" in text
    file = tmp_path / "mine.json"
    file.write_text(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert get_layout(str(file)).hd_groups["hd21"] == ((3, 4), (1,), (0, 2), (5,))


def test_standard_library_only():
    code = "import sys, mmcl.layouts as l; l.get_layout('ntu25'); print('numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
