"""Layout, dimensions, unit and axes, guessed from joints."""

import numpy as np
import pytest
from made_folders import clip, pixels

from mmcl.guess.shapes import Samples, guess_shapes, shortest_tree
from mmcl.layouts import get_layout


def guessed(*clips, names=(), picture=None):
    return guess_shapes(Samples([one[:, None] for one in clips], names, []), picture)


def value(shapes, what):
    return next(one.value for one in shapes.findings if one.what == what)


@pytest.mark.parametrize("layout", ["ntu25", "ucla20", "utd20"])
def test_of_layouts_with_as_many_joints_the_one_with_short_bones(layout):
    found = guessed(clip(layout))
    assert (found.layout, found.flat, found.tree) == (layout, False, {})
    assert found.options == {"persons": 1}


def test_joints_in_another_order_have_a_tree_of_their_own():
    order = np.random.default_rng(0).permutation(25)
    found = guessed(clip("ntu25")[:, order])
    assert found.layout == ""
    layout = get_layout("ntu25")
    true = {frozenset((order.tolist().index(a), order.tolist().index(b))) for a, b in layout.edges}
    made = {
        frozenset(int(joint.removeprefix("joint_")) for joint in pair)
        for pair in found.tree.items()
        if pair[0] != pair[1]
    }
    assert len(made & true) >= 18  # of 24; a hip may hang from the other, a hand's tip from the thumb
    assert "name them" in next(one.check for one in found.findings if one.what == "layout")


@pytest.mark.parametrize(
    ("unit", "name", "scale"),
    [(1, "metres", None), (1000, "millimetres", 0.001), (100, "centimetres", 0.01), (0.1, "normalised", 9.7)],
)
def test_units_by_the_size_of_a_body(unit, name, scale):
    found = guessed(clip("ntu25") * unit)
    assert value(found, "unit") == name
    assert found.options.get("scale") == (scale and pytest.approx(scale, rel=0.1))


@pytest.mark.parametrize(
    ("up", "axes", "signs"),
    [("z", (0, 2, 1), (1, -1, 1)), ("-y", (0, 1, 2), (1, -1, -1)), ("x", (1, 0, 2), (1, -1, 1))],
)
def test_the_upright_axis(up, axes, signs):
    found = guessed(clip("ntu25")[..., axes] * signs)
    assert found.options["up"] == up


def test_joints_in_a_picture_with_scores():
    found = guessed(pixels(clip("coco17")))
    assert (found.layout, found.flat) == ("coco17", True)
    assert found.options == {"third": "score", "picture_height": 480.0, "persons": 1}
    assert guessed(pixels(clip("coco17")), picture=720).options["picture_height"] == 720
    plain = guessed(pixels(clip("coco17"), scores=False) / 480)
    assert plain.options == {"picture_height": 1.0, "persons": 1}


def test_joints_that_were_not_seen_and_two_people():
    one, other = clip("ntu25"), clip("ntu25", seed=1) + np.array([1, 0, 0])
    both = np.stack([one, other], 1)
    both[3, 0, 7] = 0
    found = guess_shapes(Samples([both], (), []), None)
    assert found.options == {"persons": 2, "missing_joints": "interpolate"}


def test_the_shortest_tree():
    far = np.abs(np.subtract.outer([0.0, 1, 3, 7], [0.0, 1, 3, 7]))
    assert {frozenset(edge) for edge in shortest_tree(far)} == {
        frozenset(e) for e in ((0, 1), (1, 2), (2, 3))
    }
