import subprocess
import sys

import pytest

from mmcl.layouts import joint_map, layout, names

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
    assert layout(name).bone_pairs == pairs(expected)
    assert len(layout(name).edges) == len(layout(name)) - 1


@pytest.mark.parametrize("name", names())
def test_layouts_are_trees_with_pairs(name):
    one = layout(name)
    for joint in range(len(one)):
        for _ in range(len(one)):
            joint = one.parents[joint]
        assert joint == one.root
    assert len(set(one.joints)) == len(one)
    assert all(one.joints[left][:-4] == one.joints[right][:-5] for left, right in one.left_right)
    assert one.joints[one.root] == "spine_shoulder"
    assert one.joints[one.centre] == "spine_mid"
    for groups in one.hd_groups.values():
        assert sorted(joint for group in groups for joint in group) == list(range(len(one)))


def test_numbers():
    assert (layout("ntu25").root, layout("ntu25").centre) == (20, 1)
    assert (layout("ucla20").root, layout("ucla20").centre) == (2, 1)
    assert (layout("utd20").root, layout("utd20").centre) == (1, 2)
    assert len(layout("ntu25").left_right) == 10
    assert len(layout("utd20").left_right) == 8


def test_published_groups():
    groups = {
        key: [sorted(j + 1 for j in g) for g in value] for key, value in layout("ntu25").hd_groups.items()
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
    groups = [[j + 1 for j in group] for group in layout("ucla20").hd_groups["hd21"]]
    assert groups == [[3], [2, 4, 5, 9], [1, 6, 10], [7, 11, 13, 17], [8, 12, 14, 18], [15, 19], [16, 20]]


def test_every_kinect_layout_maps_to_every_other():
    for source in ("ntu25", "ucla20", "utd20", "sysu20"):
        for target in ("ntu25", "ucla20", "utd20", "sysu20"):
            assert len(joint_map(source, target)) == len(layout(target))


def test_standard_library_only():
    code = "import sys, mmcl.layouts as l; l.layout('ntu25'); print('numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
