"""Copies among clips: changed copies are found under their kind, recordings that only look alike are not."""

import numpy as np
import pytest
from made_bodies import body

from mmcl.audit import copies as module
from mmcl.audit.copies import Copies, find_copies, fingerprint
from mmcl.layouts import get_layout

UCLA = get_layout("ucla20")
OTHERS = [body(seed, 30 + seed) for seed in range(12)]
ORIGINAL = OTHERS[3]


def copies(*extra: np.ndarray, tolerance: float = 0.01) -> Copies:
    clips = [*OTHERS, *extra]
    prints = [fingerprint(clip, UCLA) for clip in clips]
    return find_copies(prints, UCLA, lambda i: clips[i], tolerance)


def turned(clip: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return clip @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def mirrored(clip: np.ndarray) -> np.ndarray:
    order = list(range(20))
    for left, right in UCLA.left_right:
        order[left], order[right] = right, left
    return clip[:, :, order] * (-1, 1, 1)


def stretched(clip: np.ndarray, frames: int) -> np.ndarray:
    at = np.linspace(0, len(clip) - 1, frames)
    low = np.minimum(at.astype(int), len(clip) - 2)
    part = (at - low)[:, None, None, None]
    return clip[low] * (1 - part) + clip[low + 1] * part


def test_different_recordings_share_nothing() -> None:
    found = copies()
    assert (found.groups, found.pairs, found.common) == ([], [], [])


def test_bit_for_bit() -> None:
    found = copies(ORIGINAL, OTHERS[5], ORIGINAL)
    assert found.groups == [[3, 12, 14], [5, 13]]
    assert not found.pairs


@pytest.mark.parametrize(
    ("change", "kind", "reported"),
    [
        (
            lambda clip: clip + np.array([0.3, 0, 0.4]),
            "copy",
            "poses in common: 33, of 33 and 33, moved by 0.50 m",
        ),
        (lambda clip: turned(clip, 30), "copy", ", turned by 30°"),
        (mirrored, "copy", ", mirrored"),
        (lambda clip: turned(mirrored(clip), 45), "copy", ", mirrored, turned by"),
        (lambda clip: clip * (-1, 1, 1), "copy", ", mirrored with left joints left"),
        (lambda clip: clip[::-1], "copy", "poses in common: 33, of 33 and 33"),
        (lambda clip: clip - clip[:, :, [1]], "copy", ", each frame moved by itself"),
        (lambda clip: clip[8:28], "excerpt", "poses in common: 20, of 33 and 20"),
        (lambda clip: clip[::2], "excerpt", "poses in common: 17, of 33 and 17"),
        (
            lambda clip: np.concatenate([clip[:5], body(99, 30)]),
            "overlap",
            "poses in common: 5, of 33 and 35",
        ),
        (lambda clip: stretched(clip, 45), "near_identical", "mm apart"),
        (
            lambda clip: clip + 0.004 * np.random.default_rng(1).normal(size=clip.shape),
            "near_identical",
            "mm",
        ),
        (lambda clip: np.rint(clip * 200) / 200, "near_identical", "mm"),
    ],
)
def test_changed_copies(change, kind: str, reported: str) -> None:  # type: ignore[no-untyped-def]
    (pair,) = copies(change(ORIGINAL)).pairs
    assert (pair.a, pair.b, pair.kind) == (3, 12, kind)
    assert reported in pair.detail


def test_noise_beyond_the_tolerance_is_another_recording() -> None:
    noise = np.random.default_rng(1).normal(0, 0.004, ORIGINAL.shape)
    assert copies(ORIGINAL + noise, tolerance=0.008).pairs
    assert not copies(ORIGINAL + noise, tolerance=0.005).pairs


def test_frames_and_people_that_are_not_there_do_not_count() -> None:
    second = np.concatenate([ORIGINAL, np.zeros_like(ORIGINAL)], axis=1)
    gap = np.insert(ORIGINAL, 10, np.nan, axis=0)
    assert copies(second, gap).groups == [[3, 12, 13]]
    assert fingerprint(np.full((5, 1, 20, 3), np.nan), UCLA) is None


def test_a_pose_in_a_crowd_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROWD", 5)
    default = body(77, 1)
    found = copies(*(np.concatenate([body(seed, 20), default]) for seed in range(50, 58)))
    assert found.common == [list(range(12, 20))]
    assert not found.pairs


def test_equal_hashes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hash_poses", lambda poses, _: np.zeros(len(poses), np.uint64))
    assert not copies().pairs


def test_few_clips_and_none() -> None:
    assert find_copies([], UCLA, OTHERS.__getitem__, 0.01).pairs == []
    assert find_copies([None, None], UCLA, OTHERS.__getitem__, 0.01).near.shape == (2, 0)
    assert find_copies([fingerprint(ORIGINAL, UCLA)], UCLA, OTHERS.__getitem__, 0.01).pairs == []
