import numpy as np
import pytest

from mmcl.video import boxes

PEOPLE = np.array([[10, 20, 30, 60, 0.9], [50, 10, 70, 55, 0.7], [0, 0, 99, 99, 0.3]], np.float32)


def test_the_most_confident_person_stands_for_a_picture():
    box, score = boxes.choose_people(PEOPLE, pair=False)
    assert box.tolist() == [10, 20, 30, 60]
    assert score == pytest.approx(0.9)


def test_union_of_the_two_best():
    box, score = boxes.choose_people(PEOPLE, pair=True)
    assert box.tolist() == [10, 10, 70, 60]
    assert score == pytest.approx(0.7)


def test_one_person_is_enough_for_a_pair():
    box, score = boxes.choose_people(PEOPLE[:1], pair=True)
    assert box.tolist() == [10, 20, 30, 60]
    assert score == pytest.approx(0.9)
    assert boxes.choose_people(PEOPLE[:0], pair=True) is None


def test_rules():
    pairs = frozenset({"A050"})
    assert boxes.wants_pair("by_action", "A050", pairs)
    assert not boxes.wants_pair("by_action", "A001", pairs)
    assert boxes.wants_pair("label_free", "A001", pairs)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([1.4, 2.6, 9.5, 20.2], [1, 3, 10, 20]),
        ([-5, -3, 70, 50], [0, 0, 64, 48]),
        ([70, 10, 90, 20], None),
        ([5, 5, 5.2, 20], None),
    ],
)
def test_clip(box, expected):
    clipped = boxes.clip(np.array(box), 64, 48)
    assert (clipped if clipped is None else clipped.tolist()) == expected


def test_from_joints():
    first = [[10, 10], [20, 40], [np.nan, np.nan], [30, 30]]
    second = [[40, 40], [-4, 20], [44, 42], [50, 60]]
    nobody = [[np.nan, np.nan]] * 4
    outside = [[100, 100]] * 4
    people = boxes.from_joints(np.array([first, nobody, second, outside]), 64, 48)
    np.testing.assert_allclose(people, [[10, 10, 30, 40, 0.75], [-4, 20, 50, 60, 0.5]])
    wider = boxes.from_joints(np.array([first]), 64, 48, margin=0.1)
    np.testing.assert_allclose(wider, [[7, 7, 33, 43, 0.75]])
    assert boxes.from_joints(np.empty((0, 4, 2)), 64, 48).shape == (0, 5)


def test_whole_frame():
    assert boxes.whole_frame(64, 48).tolist() == [[0, 0, 64, 48, 1]]
