"""Damage within a clip: each kind put in is named, and a clean body is silent."""

import numpy as np
import pytest
from made_bodies import body

from mmcl.audit.damage import find_damage
from mmcl.layouts import get_layout

UCLA = get_layout("ucla20")


def found(clip: np.ndarray, rate: float = 30.0) -> dict[str, str]:
    return dict(find_damage(clip, UCLA, rate))


@pytest.mark.parametrize("seed", range(20))
def test_clean_bodies_are_silent(seed: int) -> None:
    assert not found(body(seed))


def test_two_people_of_whom_one_comes_later() -> None:
    clip = np.concatenate([body(1), body(2)], axis=1)
    clip[:15, 1] = 0
    assert not found(clip)


def test_numbers_that_are_none() -> None:
    clip = body(1)
    clip[3, 0, 4, 1], clip[5:7, 0, 2], clip[9, 0, 0, 0] = np.nan, np.inf, 400.0
    reported = found(clip)
    assert reported == {
        "not_finite": "1 joints NaN, 2 joints infinite, 1 joints beyond 100 m, in 4 of 40 frames"
    }


def test_empty_frames_are_counted_and_not_called_frozen() -> None:
    clip = body(1)
    clip[10:20] = 0
    assert found(clip) == {"empty_frames": "10 of 40 frames are all zero"}


def test_frozen_frames() -> None:
    clip = body(1)
    clip[21:24] = clip[20]
    assert found(clip) == {"frozen": "3 of 40 frames repeat the one before, up to 3 in a row"}
    clip = body(1)
    clip[21:23] = clip[20]
    assert not found(clip), "two repeated frames are the sensor's clock"


def test_every_second_frame_repeated() -> None:
    assert "frozen" in found(np.repeat(body(1, 20), 2, axis=0))


def test_one_frame() -> None:
    assert found(body(1)[:1]) == {"one_frame": "1 frame"}


def test_jump_names_joint_frame_and_speed() -> None:
    clip = body(1)
    clip[12:, 0, UCLA.index("hand_left"), 0] += 1.5
    reported = found(clip)["jump"]
    assert reported.startswith("hand_left moves 1.5")
    assert "from frame 11 to 12" in reported
    assert "1 such steps" in reported


def test_a_slower_camera_forgives_longer_steps() -> None:
    clip = body(1)
    clip[12, 0] += (1.5, 0, 0)
    assert "jump" in found(clip)
    assert "jump" not in found(clip, rate=15)


def test_millimetres_are_no_metres() -> None:
    assert found(body(1) * 0.1)["size"].startswith("from pelvis to shoulders 0.04")


def test_zero_bone() -> None:
    clip = body(1)
    clip[7:9, 0, UCLA.index("knee_left")] = clip[7:9, 0, UCLA.index("hip_left")]
    assert found(clip)["zero_bone"] == "hip_left–knee_left in 2 of 40 frames"


def test_a_bone_that_grows() -> None:
    clip = body(1)
    clip[30:, 0, UCLA.index("knee_left"), 0] += 0.9
    assert found(clip)["bone_length"].startswith("knee_left–ankle_left is 0.33 to")


def test_the_second_person_is_looked_at_too() -> None:
    clip = np.concatenate([body(1), body(2)], axis=1)
    clip[12, 1] += (1.5, 0, 0)
    assert found(clip)["jump"].startswith("person 2: ")
