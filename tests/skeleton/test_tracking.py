"""People of lists and of labels are followed through the frames."""

import itertools

import numpy as np
import pytest

from mmcl.skeleton.tracking import follow

BODY = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 3)) * (0.4, 1.8, 0.4)


def walk(x, frames=30, amount=0.1, seed=0):
    """(T, 10, 3) of a person 1.8 m high who moves about x."""
    t = np.arange(frames)[:, None, None] / 10
    return BODY + (x, 0, 0) + amount * np.sin(t + np.arange(10)[:, None] + seed)


def followed(people, most=2, labelled=False):
    """(T, M, 10, 3), zero where nobody is; from (T, N, 10, 3)."""
    found = follow(people, (people != 0).any(-1).astype(float), most, labelled)
    return found.take(people, 0), found.dropped


A, B = walk(0, amount=0.3), walk(1, amount=0.2, seed=2)


@pytest.mark.parametrize("labelled", [False, True])
def test_who_takes_anothers_place_in_the_list_is_recognised(labelled):
    listed = np.stack([A, B], 1)
    listed[8] = [B[8], np.zeros_like(A[8])]
    listed[12] = listed[12, ::-1]
    wanted = np.stack([A, B], 1)
    wanted[8, 0] = 0
    people, dropped = followed(listed, labelled=labelled)
    np.testing.assert_array_equal(people, wanted)
    assert dropped == 0


def test_a_label_is_trusted_where_its_person_is_the_same():
    """Two who pass through each other: positions alone cannot tell them apart where they meet."""
    t = np.arange(31)[:, None, None]
    one, two = (BODY + np.array([sign * 0.05, 0, 0]) * (t - 15) for sign in (1, -1))
    people, _ = followed(np.stack([one, two], 1), labelled=True)
    assert any(np.array_equal(people, np.stack(order, 1)) for order in ((one, two), (two, one)))


def test_a_label_stays_with_who_comes_back_far_away_and_a_list_does_not_know_him():
    gone = np.concatenate([walk(0, 15), np.zeros((20, 10, 3)), walk(5, 15)])
    other = walk(2, 50)
    people, _ = followed(np.stack([gone, other], 1), labelled=True)
    place = int(people[0, :, :, 0].mean(-1).argmin())
    np.testing.assert_array_equal(people[:, place], gone)


def test_one_who_was_lost_for_long_is_known_by_his_place():
    lost = A.copy()
    lost[8:22] = 0
    labels = np.zeros((30, 3, 10, 3))
    labels[:8, 0], labels[22:, 1], labels[:, 2] = lost[:8], lost[22:], B
    for labelled in (False, True):
        people, dropped = followed(labels, labelled=labelled)
        order = [0, 1] if np.array_equal(people[:, 0], lost) else [1, 0]
        np.testing.assert_array_equal(people[:, order], np.stack([lost, B], 1))
        assert dropped == 0


def test_two_labels_far_apart_are_two_people_though_one_follows_the_other():
    labels = np.zeros((30, 2, 10, 3))
    labels[:15, 0], labels[15:, 1] = A[:15], walk(3, 30, 0.5)[15:]
    people, _ = followed(labels, labelled=True)
    np.testing.assert_array_equal(people, labels[:, ::-1])
    assert followed(labels, most=1, labelled=True)[0].shape[1] == 1  # they share the only place
    assert followed(labels)[0].shape[1] == 1


def test_false_detections_displace_nobody():
    ghosts = np.zeros((30, 10, 3))
    ghosts[[3, 11, 12]] = walk(4)[[3, 11, 12]]
    people, dropped = followed(np.stack([ghosts, A, B], 1))
    np.testing.assert_array_equal(people, np.stack([A, B], 1))
    assert dropped == 1


def test_the_order_of_the_lists_does_not_matter():
    three = [A, B, walk(2, amount=0.05)]
    for order in itertools.permutations(range(3)):
        people, dropped = followed(np.stack([three[i] for i in order], 1))
        np.testing.assert_array_equal(people, np.stack([A, B], 1))
        assert dropped == 1
    # the same motion: by the place
    same = [A, A + np.array([2, 0, 0])]
    for order in ([0, 1], [1, 0]):
        people, _ = followed(np.stack([same[i] for i in order], 1), most=1)
        assert people.shape[1] == 1


def test_a_few_frames_a_second_still_make_one_person():
    apart = np.stack([BODY + 2 * t for t in range(8)])[:, None]
    people, dropped = followed(apart)
    np.testing.assert_array_equal(people, apart)
    assert dropped == 0


def test_nobody():
    people, dropped = followed(np.zeros((4, 2, 10, 3)))
    assert people.shape == (4, 0, 10, 3)
    assert dropped == 0
