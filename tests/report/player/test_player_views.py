import numpy as np
import pytest

from mmcl.report.player.shown import Skeleton
from mmcl.report.player.views import ROOM, Space, project, space_of, step_of, ticks

SPACE = Space(np.array([0.0, 1.0, 3.0]), 2.0, np.zeros(3))


@pytest.mark.parametrize(
    ("view", "place"),
    [("front", (75, 25)), ("side", (25, 25)), ("top", (75, 75))],
)
def test_axes_of_the_views(view, place):
    """A point 1 m to the right of the centre, 1 m above it and 1 m nearer, on 100 pixels for 4 m."""
    np.testing.assert_allclose(project(np.array([1.0, 2.0, 2.0]), view, SPACE, 100), place)


def test_the_space_holds_everybody_but_single_joints_far_away():
    joints = np.zeros((100, 2, 25, 3), np.float32)
    joints[:, 0] = np.random.default_rng(0).uniform((-1, 0, 2), (1, 2, 3), (100, 25, 3))
    joints[7, 0, 3] = 1000
    joints[8, 0, 4] = np.nan
    space = space_of([Skeleton("", "ntu25", joints, "m")])
    np.testing.assert_allclose(space.centre, (0, 1, 2.5), atol=0.05)
    assert space.half == pytest.approx(ROOM, abs=0.05)
    np.testing.assert_allclose(space.low, (-1, 0, 2), atol=0.05)


def test_a_space_without_anybody():
    assert space_of([Skeleton("", "ntu25", np.zeros((3, 1, 25, 3), np.float32), "m")]).half == 1


@pytest.mark.parametrize(
    ("length", "step"), [(4, 1), (3.9, 1), (1.5, 0.5), (2200, 1000), (0.9, 0.5), (480, 200)]
)
def test_grid_lines_are_at_round_numbers(length, step):
    assert step_of(length) == step
    places = ticks(0.0, length / 2)
    assert 0.0 in places
    assert str(places[places.index(0)]) == "0.0"  # and not -0.0
    np.testing.assert_allclose(np.diff(places), step)
