import numpy as np
import pytest
from made_bodies import body

from mmcl.report.player.shown import Skeleton
from mmcl.report.player.tracks import suspicious, tracks_of


@pytest.fixture
def pair():
    """(40, 2, 25, 3): two people beside each other."""
    one, two = body(0, 40, "ntu25"), body(1, 40, "ntu25")
    return np.concatenate([one, two - two[:1, :, :1] + one[:1, :, :1] + (1.1, 0, 0.1)], axis=1).astype(
        np.float32
    )


def skeleton(joints, **more):
    return Skeleton("", "ntu25", joints, "m", **more)


def test_speed_is_that_of_the_joints(pair):
    still = np.repeat(pair[:1], 10, 0)
    still[:, 1, :, 0] += 0.05 * np.arange(10)[:, None]
    tracks = tracks_of(skeleton(still), 20)
    assert tracks.mean_speed(0) == 0
    assert tracks.mean_speed(1) == pytest.approx(1.0, abs=1e-3)  # 5 cm a frame, 20 frames a second
    assert tracks.said(1, "m") == "1 m/s"
    assert not tracks.jumps.any()
    assert tracks.present.all()


def test_an_absent_person_has_no_speed(pair):
    pair[10:20, 1] = 0
    tracks = tracks_of(skeleton(pair), 30)
    np.testing.assert_array_equal(np.flatnonzero(~tracks.present[:, 1]), np.arange(10, 20))
    assert (tracks.speed[10:21, 1] == 0).all()
    assert not tracks.jumps.any()


def test_people_who_exchange_their_places(pair):
    assert suspicious(skeleton(pair)) == []
    pair[20:] = pair[20:, ::-1].copy()
    tracks = tracks_of(skeleton(pair), 30)
    assert [np.flatnonzero(tracks.jumps[:, person]).tolist() for person in (0, 1)] == [[20], [20]]
    assert tracks.said(0, "m").endswith(", 1 jump")
    (note,) = suspicious(skeleton(pair))
    assert (
        note == "people exchange their places: person 1 goes on as 2 at frame 20, 2 goes on as 1 at frame 20"
    )


def test_a_bookshelf_is_told_from_a_person(pair):
    shelf = np.random.default_rng(0).uniform((-0.6, 0, 2), (0.6, 0.4, 2.3), (25, 3))
    pair[:, 1] = shelf
    (note,) = suspicious(skeleton(pair))
    assert note.startswith("person 2 is wider than 0.8 of the height in 100 % of the frames: furniture")
    assert tracks_of(skeleton(pair), 30).said(1, "m") == "0 m/s"


def test_flat_people_may_be_wide(pair):
    pair[..., 2] = 0
    pair[:, 0] = pair[:, 0][..., [1, 0, 2]]
    assert suspicious(skeleton(pair)) == []


def test_confidence_of_a_person(pair):
    confidence = np.full(pair.shape[:3], 0.5)
    confidence[:20, 1] = 0
    tracks = tracks_of(skeleton(pair, confidence=confidence), 30)
    assert tracks.said(1, "px").endswith(", sure 0.50")
    assert not tracks.present[:20, 1].any()
