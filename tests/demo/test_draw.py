"""Drawn clips: the same pixels every time, rigid limbs, objects only where an action has one."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest

from mmcl.demo.actions import ACTIONS, OBJECTS, TWO_PERSONS
from mmcl.demo.draw import Shot, ntu_name, utd_joints, utd_name
from mmcl.demo.scene import backdrop
from mmcl.demo.write import PARENTS
from mmcl.errors import UserError


class Drawn(NamedTuple):
    """A shot and all of its pictures."""

    shot: Shot
    images: np.ndarray

    def __getattr__(self, name: str):
        return getattr(self.shot, name)


def draw(action: int, subject: int, camera: int, replication: int = 1, **other) -> Drawn:
    """A clip in NTU's form, of the usual size and with the action's own object."""
    shot = Shot(
        action, subject, camera, replication, **{"size": (480, 270), "held": None, "form": "ntu", **other}
    )
    return Drawn(shot, np.stack(list(shot.pictures())))


def _hash(clip: Drawn) -> str:
    return hashlib.sha256(clip.images.tobytes() + clip.joints.tobytes() + clip.boxes.tobytes()).hexdigest()


@lru_cache(maxsize=64)
def _clip(action: int, camera: int = 1, held: str | None = None, subject: int = 3) -> Drawn:
    return draw(action, subject, camera, seed=11, frames=8, held=held)


def test_same_arguments_same_pixels():
    again = draw(1, 3, 1, seed=11, frames=8)
    assert _hash(_clip(1)) == _hash(again)
    backdrop.cache_clear()
    assert _hash(draw(1, 3, 1, seed=11, frames=8)) == _hash(again)
    assert _hash(draw(1, 3, 1, seed=12, frames=8)) != _hash(again)
    assert _hash(draw(1, 3, 1, 2, seed=11, frames=8)) != _hash(again)


def test_cameras_film_the_same_motion():
    one, two = _clip(23, 1), _clip(23, 2)
    apart = [
        np.linalg.norm(c.joints[..., :, None, :] - c.joints[..., None, :, :], axis=-1) for c in (one, two)
    ]
    np.testing.assert_allclose(apart[0], apart[1], atol=1e-9)
    assert np.abs(one.joints - two.joints).max() > 0.2


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_limbs_keep_their_length(action: int):
    shot = Shot(action, 5, 1, 1, seed=4, frames=40, size=(480, 270), held=None, form="ntu")
    parents = np.maximum(np.array(PARENTS), 1) - 1
    lengths = np.linalg.norm(shot.joints - shot.joints[:, :, parents], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:1], lengths.shape), atol=1e-6)
    assert shot.joints.shape == (40, 2 if action in TWO_PERSONS else 1, 25, 3)
    assert shot.joints[..., 2].min() > 1.6
    assert shot.joints[..., 2].max() < 4.0
    speed = np.linalg.norm(np.diff(shot.joints, axis=0), axis=-1)
    assert speed.max() < 0.45


def test_subjects_differ():
    heights = [np.ptp(draw(23, s, 1, seed=4, frames=2).joints[0, 0, :, 1]) for s in range(1, 9)]
    assert np.ptp(heights) > 0.15


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_boxes_hold_the_joints_and_the_person(action: int):
    clip = _clip(action)
    low, high = clip.boxes[..., None, :2], clip.boxes[..., None, 2:]
    inside = np.clip(clip.pixels, 0, (480, 270))
    assert (inside >= low - 1e-6).all()
    assert (inside <= high + 1e-6).all()
    assert (clip.boxes[..., :2] < clip.boxes[..., 2:]).all()


def test_picture_differs_from_the_empty_room_only_around_people():
    shot = Shot(23, 3, 1, 1, seed=11, frames=8, size=(480, 270), held=None, form="ntu")
    changed = np.abs(_clip(23).images[4].astype(int) - shot.empty().astype(int)).max(-1) > 45
    x0, y0, x1, y1 = np.rint(_clip(23).boxes[4, 0]).astype(int)
    inside = changed[y0:y1, x0:x1].sum()
    assert inside > 0.25 * (x1 - x0) * (y1 - y0)
    assert changed.sum() - inside < 0.06 * inside


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_object_only_where_the_action_has_one(action: int):
    clip = _clip(action)
    assert clip.object == OBJECTS.get(action, "none")
    if action in OBJECTS:
        assert clip.object_pixels[0] > 15
    else:
        assert not clip.object_pixels.any()


@pytest.mark.parametrize("held", ["cup", "food", "phone", "tablet", "ball"])
def test_held_replaces_the_object(held: str):
    with_object, empty = _clip(80, held=held), _clip(80, held="none")
    assert (with_object.object, empty.object) == (held, "none")
    assert with_object.object_pixels.min() > 10
    differing = (np.abs(with_object.images.astype(int) - empty.images).max(-1) > 40).sum((1, 2))
    assert (differing > 8).all()
    assert differing.max() < 4000
    np.testing.assert_allclose(with_object.joints, empty.joints)


def test_colour_of_the_ball_is_in_the_picture():
    def orange(image: np.ndarray) -> int:
        r, g, b = (image[..., k].astype(int) for k in range(3))
        return int(((r > 150) & (r - b > 90) & (r - g > 50)).sum())

    assert orange(_clip(80, held="ball").images[0]) > orange(_clip(80, held="none").images[0]) + 60


def test_twenty_joints():
    shot = Shot(23, 2, 1, 1, seed=11, frames=4, size=(360, 270), held=None, form="utd_mhad")
    joints = utd_joints(shot.joints)
    assert joints.shape == (4, 1, 20, 3)
    # from the head down to the feet; left is at smaller x, as in the real files
    heights = joints[0, 0, :, 1]
    assert heights[0] > heights[1] > heights[2] > heights[3] > heights[[15, 19]].max()
    assert joints[0, 0, 4, 0] < joints[0, 0, 8, 0]
    x, y, z = joints[0, 0, 0]
    expected = 180 + 285.63 * 360 / 320 * x / z, 135 - 285.63 * 360 / 320 * y / z
    np.testing.assert_allclose(shot.view.project(joints)[0, 0, 0], expected, atol=1e-6)


def test_names():
    assert utd_name(23, 2, 1) == "a3_s2_t1"
    assert ntu_name(1, 41, 2, 1) == "S018C002P041R001A001"


@pytest.mark.parametrize(
    "call",
    [
        lambda: draw(7, 1, 1, seed=0, frames=2),
        lambda: draw(1, 1, 1, seed=0, frames=2, held="sword"),
    ],
)
def test_what_is_not_drawn(call: Callable[[], Drawn]):
    with pytest.raises(UserError):
        call()
