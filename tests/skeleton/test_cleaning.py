import numpy as np
from seeds import shifted

from mmcl.skeleton.cleaning import (
    Track,
    assign_actors,
    choose_bodies,
    clean,
    find_actors,
    motion,
    pack_frames,
    plausible_frames,
)


def track(start, length, amount=0.1, seed=0, width=0.2, at=0.0):
    """A body of 25 joints, 1.8 m high, that moves by `amount`."""
    rng = np.random.default_rng(shifted(seed))
    body = np.zeros((1, 25, 3))
    body[0, :, 1] = np.linspace(-0.9, 0.9, 25)
    body[0, :, 0] = np.linspace(-width / 2, width / 2, 25)
    shift = rng.normal(0, amount, (length, 1, 3))
    return Track(np.arange(start, start + length), (body + shift + [at, 0, 3]).astype(np.float32))


def test_motion_is_the_pooled_variance():
    joints = np.zeros((2, 2, 3), np.float32)
    joints[1] = 2  # each axis: 0 0 2 2, variance 1
    assert motion(joints) == 3.0


def test_plausible_frames_compare_width_with_height():
    joints = np.zeros((3, 2, 3), np.float32)
    joints[:, 1, 1] = 1
    joints[:, 1, 0] = 0.79, 0.8, 0.81
    assert plausible_frames(joints).tolist() == [True, True, False]


def test_only_body_is_taken_as_it_is():
    assert choose_bodies([track(0, 3, width=9)]) == [0]


def test_eleven_frames_are_noise_and_twelve_are_not():
    assert choose_bodies([track(0, 40), track(0, 11, amount=5)]) == [0]
    assert choose_bodies([track(0, 40), track(0, 12, amount=5)]) == [1, 0]


def test_where_all_are_short_the_longest_stays():
    assert choose_bodies([track(0, 5), track(0, 9), track(0, 9)]) == [1]


def spread(wide, frames):
    body = track(0, frames, seed=1)
    body.joints[:wide, :, 0] = np.linspace(-2, 2, 25)
    return body


def test_share_of_implausible_frames():
    # 69 of 100 frames stay below 0.69754, 70 do not
    person = track(0, 100, amount=0.5)
    assert choose_bodies([person, spread(69, 100)]) == [0, 1]
    assert choose_bodies([person, spread(70, 100)]) == [0]
    assert choose_bodies([spread(100, 100), spread(100, 100)]) == [1]  # the last one is never dropped


def test_motion_of_a_body_counts_in_its_plausible_frames():
    quiet, wide = track(0, 100, amount=0.3), spread(50, 100)
    assert motion(wide.joints) > motion(quiet.joints) > motion(wide.joints[50:])
    assert choose_bodies([wide, quiet]) == [1, 0]


def test_actor_slots():
    tracks = [track(0, 20), track(5, 30), track(20, 20), track(40, 20), track(10, 20)]
    # 2 continues 0; 1 is person 2; 3 continues 0; 4 overlaps both
    assert assign_actors(tracks, [0, 1, 2, 3, 4]) == [[0, 2, 3], [1]]
    # a touch in one frame is no overlap
    assert assign_actors([track(0, 20), track(19, 20)], [0, 1]) == [[0, 1]]
    assert assign_actors([track(0, 20), track(18, 20)], [0, 1]) == [[0], [1]]


def test_second_slot_begins_at_frame_zero():
    # once person 2 has a body, that slot is taken from frame 0 on: body 2 finds no place before it
    tracks = [track(0, 60), track(40, 20), track(0, 20)]
    assert assign_actors(tracks, [0, 1, 2]) == [[0], [1]]


def test_one_person_is_centred_on_the_first_frame():
    body = track(0, 20)
    people = clean([body], centre=1)
    assert people.shape == (20, 1, 25, 3)
    assert people.dtype == np.float32
    np.testing.assert_allclose(people[:, 0], body.joints - body.joints[0, 1], atol=1e-6)


def test_frames_without_anybody_are_dropped():
    body = track(0, 20)
    body = Track(np.r_[0:10, 15:25], body.joints)
    assert clean([body], 1).shape == (20, 1, 25, 3)


def test_two_people_and_a_gap():
    one, two = track(0, 30, amount=0.5), track(10, 30, amount=0.1, seed=2, at=1)
    two = Track(np.r_[10:20, 30:50], two.joints)  # lost for ten frames and found again
    people = clean([two, one], 1)
    assert people.shape == (50, 2, 25, 3)
    origin = one.joints[0, 1]
    np.testing.assert_allclose(people[:30, 0], one.joints - origin, atol=1e-6)
    assert not people[30:, 0].any()
    assert not people[:10, 1].any()
    assert not people[20:30, 1].any()
    # true frames: the public scripts would show these at frames 20 to 39
    np.testing.assert_allclose(people[30:50, 1], two.joints[10:] - origin, atol=1e-6)


def test_gaps_closed_as_in_the_public_scripts():
    one, two = track(0, 30, amount=0.5), track(10, 30, amount=0.1, seed=2, at=1)
    two = Track(np.r_[10:20, 35:55], two.joints)  # frames 30 to 34 are empty, and 50 has nobody else
    packed = pack_frames([one, two])
    assert [track.frames.tolist() for track in packed] == [[*range(30)], [*range(10, 40)]]
    people = clean(packed, 1)
    assert people.shape == (40, 2, 25, 3)
    np.testing.assert_allclose(people[10:40, 1], two.joints - one.joints[0, 1], atol=1e-6)
    # a body that begins after an empty frame begins earlier by it
    assert pack_frames([track(0, 20), track(25, 20)])[1].frames.tolist() == [*range(20, 40)]


def test_origin_is_person_one_when_first_seen():
    one, two = track(10, 30, amount=0.5), track(0, 30, amount=0.1, seed=2, at=1)
    people = clean([one, two], 1)
    np.testing.assert_allclose(people[10, 0, 1], 0, atol=1e-6)
    np.testing.assert_allclose(people[0, 1], two.joints[0] - one.joints[0, 1], atol=1e-6)


def test_a_clip_of_two_bodies_that_are_one_person():
    people = clean([track(0, 20), track(25, 20)], 1)
    assert people.shape == (40, 1, 25, 3)
    assert find_actors([track(0, 20), track(25, 20)]) == [[0, 1]]


def test_dropped_body_leaves_no_empty_frames():
    # the short body alone fills frames 20 to 29
    assert clean([track(0, 20), track(20, 10)], 1).shape == (20, 1, 25, 3)
