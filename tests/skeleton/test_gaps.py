"""Unknown joints are interpolated in time."""

import numpy as np

from mmcl.skeleton.gaps import are_scores, fill_gaps, fill_unseen, seem_scores, unseen


def test_gaps_are_filled_between_and_held_beyond():
    joints = np.zeros((6, 2, 2), np.float32)
    joints[:, 0, 0] = [9, 1, 9, 9, 4, 9]
    joints[:, 1] = 7
    known = np.zeros((6, 2), bool)
    known[[1, 4], 0] = True
    filled = fill_gaps(joints, known)
    np.testing.assert_allclose(filled[:, 0, 0], [1, 1, 2, 3, 4, 4])
    assert (filled[:, 1] == 7).all()  # never known: as it was
    assert joints[0, 0, 0] == 9
    assert filled.dtype == np.float32


def test_unseen_joints_are_held_at_the_ends():
    points = np.zeros((6, 2, 3), np.float32)
    points[2, :, 0], points[3, :, 0] = (1, 10), (2, 20)
    seen = np.zeros((6, 2), bool)
    seen[2:4] = True
    there = np.array([1, 1, 1, 1, 1, 0], bool)
    fill_unseen(points, seen, there)
    np.testing.assert_array_equal(points[:, 0, 0], [1, 1, 1, 2, 2, 0])


def test_a_joint_that_is_never_seen_is_put_between_the_others():
    points = np.arange(24.0).reshape(2, 4, 3)
    seen = np.array([[True, True, False, True]] * 2)
    wanted = points[:, [0, 1, 3]].mean(1)
    fill_unseen(points, seen, np.ones(2, bool))
    np.testing.assert_allclose(points[:, 2], wanted)


def body(frames=8, people=1):
    """(T, M, 5, 3) around the origin, joint 2 in the middle."""
    spread = np.array([0.5, 0.5, 0.1, 0.5, 0.5])[:, None]
    return np.random.default_rng(0).normal(0, 1, (frames, people, 5, 3)) * spread


def test_a_joint_at_zero_is_unseen_where_others_are_not():
    joints = body(people=2) + 3
    joints[2:4, 1, 3] = 0
    joints[5, 0] = 0  # the person is absent
    joints[:, 0, 4] = 0  # never seen; no body is around zero
    wanted = np.zeros((8, 2, 5), bool)
    wanted[2:4, 1, 3], wanted[:5, 0, 4], wanted[6:, 0, 4] = True, True, True
    np.testing.assert_array_equal(unseen(joints, [4]), wanted)


def test_the_origin_of_a_clip_is_a_place():
    centred = body(people=2)
    centred -= centred[:1, :1, 2:3].copy()
    assert not unseen(centred, [0]).any()
    centred[4, 0, 3] = 0
    assert np.argwhere(unseen(centred, [0])).tolist() == [[4, 0, 3]]
    by_frame = body() - body()[:, :, 2:3]
    assert not unseen(by_frame, [0]).any()
    by_frame[:, :, 4] = 0  # two joints, of which one can be the origin
    assert set(np.argwhere(unseen(by_frame, [2]))[:, 2].tolist()) == {4}
    assert set(np.argwhere(unseen(by_frame, [0]))[:, 2].tolist()) == {2, 4}


def test_scores_lie_between_zero_and_one():
    third = np.array([0.3, np.nan, 1, 0])
    assert are_scores(third)
    assert seem_scores(third)
    assert are_scores(np.ones(3))
    assert not seem_scores(np.ones(3))
    for other in (third * 1.1, third - 0.1, 0 * third, np.full(2, np.nan)):
        assert not are_scores(other)
