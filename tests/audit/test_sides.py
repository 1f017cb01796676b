"""Left and right: exchanges put into clean bodies are seen."""

import numpy as np
import pytest
from made_bodies import body

from mmcl.audit.sides import find_swaps
from mmcl.layouts import get_layout

LAYOUTS = ("ucla20", "ntu25", "utd20")


def found(clip: np.ndarray, name: str = "ucla20") -> dict[str, str]:
    return dict(find_swaps(clip, get_layout(name)))


def exchanged(clip: np.ndarray, frames: slice, limbs: tuple[str, ...], name: str = "ucla20") -> np.ndarray:
    skeleton, clip = get_layout(name), clip.copy()
    for left, right in skeleton.left_right:
        if skeleton.joints[left].startswith(limbs):
            clip[frames, :, [left, right]] = clip[frames, :, [right, left]]
    return clip


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("seed", range(10))
def test_clean_bodies_are_silent(seed: int, name: str) -> None:
    assert not found(body(seed, name=name), name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_legs_exchanged_in_a_stretch(name: str) -> None:
    clip = exchanged(body(3, name=name), slice(10, 20), ("hip", "knee", "ankle", "foot"), name)
    assert found(clip, name)["swap"] == "2 exchanges: legs from frame 9 to 10, legs from frame 19 to 20"


def test_arms_exchanged_to_the_end() -> None:
    clip = exchanged(body(3), slice(30, None), ("shoulder", "elbow", "wrist", "hand"))
    assert found(clip)["swap"] == "1 exchanges: arms from frame 29 to 30"


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_whole_clip_with_its_sides_exchanged_has_its_feet_backwards(turn: int) -> None:
    angle = turn * np.pi / 2
    around = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    clip = body(3) @ around
    assert not found(clip), "which way a body faces is no damage"
    everything = exchanged(clip, slice(None), ("",))
    assert found(everything)["sides"].startswith("the feet point backwards (cosine -0.")


def test_legs_exchanged_in_the_whole_clip() -> None:
    clip = exchanged(body(3), slice(None), ("hip", "knee", "ankle", "foot"))
    reported = [detail for _, detail in find_swaps(clip, get_layout("ucla20"))]
    assert any(detail.startswith("hips and shoulders point in opposite") for detail in reported)


def test_hands_that_touch_and_part_are_no_exchange() -> None:
    clip, skeleton = body(3), get_layout("ucla20")
    for joint, sign in (("hand_left", 1), ("hand_right", -1), ("wrist_left", 1), ("wrist_right", -1)):
        clip[:, 0, skeleton.index(joint)] = clip[:, 0, 1] + np.outer(
            np.cos(np.linspace(0, 6.3, 40)) * sign, (0.3, 0, 0)
        )
    assert "swap" not in found(clip)


def test_a_body_that_jumps_as_a_whole_exchanges_nothing() -> None:
    clip = body(3)
    clip[20:] += (2, 0, 0)
    assert not found(clip)


def test_frames_without_anybody_are_no_exchange() -> None:
    clip = body(3)
    clip[10:12] = 0
    clip[15] = np.nan
    assert not found(clip)
