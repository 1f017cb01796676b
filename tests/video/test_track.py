"""People keep their place from frame to frame."""

import numpy as np

from mmcl.video.pose import People
from mmcl.video.track import follow

SHAPE = np.random.default_rng(0).uniform((-20, -80), (20, 80), (17, 2))


def person(x, confidence=0.9):
    """A box 160 px high around a pose at x."""
    keypoints = np.concatenate([SHAPE + np.array([x, 100]), np.full((17, 1), confidence)], 1)
    return [x - 20, 20, x + 20, 180, confidence], keypoints


def frame(*people):
    people = sorted(people, key=lambda one: -one[0][4])
    boxes = np.array([box for box, _ in people], np.float32).reshape(-1, 5)
    return People(boxes, np.array([pose for _, pose in people], np.float32).reshape(-1, 17, 3))


def places(poses):
    """(T, M) mean x, NaN where nobody is."""
    seen = (poses != 0).any((2, 3))
    return np.where(seen, poses[..., 0].mean(-1) - SHAPE[:, 0].mean(), np.nan)


def test_two_people_who_pass_each_other_in_confidence_keep_their_places():
    frames = [frame(person(100 + t, 0.9 - 0.02 * t), person(200 - t, 0.7 + 0.02 * t)) for t in range(12)]
    x = places(follow(frames, 2))
    t = np.arange(12)
    order = np.argsort(-x[0])
    np.testing.assert_allclose(x[:, order], np.stack([200 - t, 100 + t], 1), atol=1e-3)


def test_who_is_lost_for_a_while_returns_to_the_same_place():
    frames = [frame(person(100), *([] if 3 <= t < 8 else [person(300 + t, 0.6)])) for t in range(12)]
    x = places(follow(frames, 2))
    np.testing.assert_allclose(x[:, 0], 100, atol=1e-3)
    assert np.isnan(x[3:8, 1]).all()
    np.testing.assert_allclose(x[8:, 1], 308 + np.arange(4), atol=1e-3)


def test_two_who_are_lost_together_return_to_their_own_places():
    def people(t):
        sure = (0.9, 0.6) if t < 10 else (0.5, 0.95)
        return [] if 10 <= t < 13 else [person(100, sure[0]), person(300, sure[1])]

    x = places(follow([frame(*people(t)) for t in range(30)], 2))
    for column in x.T:
        assert np.ptp(column[np.isfinite(column)]) < 1


def test_after_longer_than_patience_a_free_place_is_taken_again():
    frames = [frame(*([person(100)] if t < 10 or t > 30 else [])) for t in range(40)]
    x = places(follow(frames, 2))
    assert x.shape == (40, 1)
    assert np.isfinite(x).sum() == 19


def test_a_jump_is_another_person_and_a_rare_one_is_dropped():
    frames = [frame(person(100)) for _ in range(30)]
    frames[7] = frame(person(100), person(400, 0.95))
    assert places(follow(frames, 2)).shape == (30, 1)
    # two halves, each a person of its own: they share a place, as they are never there together
    apart = [frame(person(100 if t < 15 else 400)) for t in range(30)]
    np.testing.assert_allclose(places(follow(apart, 2))[[0, -1], 0], [100, 400], atol=1e-3)


def test_the_two_most_certain_of_three_are_kept():
    frames = [frame(person(100, 0.5), person(250, 0.9), person(400, 0.8)) for _ in range(5)]
    np.testing.assert_allclose(places(follow(frames, 2))[0], [250, 400], atol=1e-3)


def test_nobody_has_no_place():
    assert follow([frame(), frame()], 2).shape == (2, 0, 17, 3)
