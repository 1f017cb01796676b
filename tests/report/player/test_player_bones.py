import numpy as np
import pytest

from mmcl.layouts import get_layout
from mmcl.report.player.bones import draw_people
from mmcl.report.player.colours import LEFT, MIDDLE, PEOPLE, RIGHT, UNSURE, of_person, rgb, sides
from mmcl.report.player.panels import View
from mmcl.report.player.shown import Skeleton
from mmcl.report.player.views import Space, project

LAYOUT = get_layout("coco17")
NOSE, LEFT_WRIST, RIGHT_WRIST = (LAYOUT.index(name) for name in ("nose", "wrist_left", "wrist_right"))
PLACES = np.array([[(20 + 40 * (i % 5), 20 + 40 * (i // 5)) for i in range(17)]], float)


def picture(joints, places=PLACES, confidence=None, **more):
    image = np.full((200, 220, 3), 255, np.uint8)
    draw_people(image, places, Skeleton("", "coco17", joints, "m", confidence), 0, 3, **more)
    return image


@pytest.fixture
def joints():
    return np.ones((1, 1, 17, 3), np.float32)


def at(image, joint, person=0):
    x, y = PLACES[person, joint].astype(int)
    return tuple(image[y, x].tolist())


def test_joints_are_where_their_places_are_in_the_colour_of_their_side(joints):
    image = picture(joints)
    assert at(image, NOSE) == rgb(PEOPLE[0].middle)
    assert at(image, RIGHT_WRIST) == rgb(PEOPLE[0].right)
    assert at(image, LEFT_WRIST) == (255, 255, 255)  # a ring
    x, y = PLACES[0, LEFT_WRIST].astype(int)
    ring = image[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).tolist()
    assert list(rgb(PEOPLE[0].left)) in ring
    assert list(rgb(PEOPLE[0].right)) not in ring
    # half way along a bone
    elbow = LAYOUT.index("elbow_right")
    x, y = ((PLACES[0, RIGHT_WRIST] + PLACES[0, elbow]) / 2).astype(int)
    assert tuple(image[y, x].tolist()) == rgb(PEOPLE[0].right)


def test_what_is_not_known_is_not_drawn(joints):
    joints[0, 0, RIGHT_WRIST] = np.nan
    assert at(picture(joints), RIGHT_WRIST) == (255, 255, 255)
    assert (picture(np.zeros_like(joints)) == 255).all()
    nowhere = np.where(np.arange(17)[:, None] == NOSE, np.nan, PLACES)
    assert at(picture(joints, nowhere), NOSE) == (255, 255, 255)
    assert (picture(joints, PLACES + 1e12) == 255).all()


def test_an_unsure_joint_is_grey_and_one_of_no_confidence_is_nowhere(joints):
    confidence = np.full((1, 1, 17), 0.9)
    confidence[..., RIGHT_WRIST], confidence[..., NOSE] = 0.2, 0
    image = picture(joints, confidence=confidence)
    assert at(image, RIGHT_WRIST) == rgb(UNSURE)
    assert at(image, NOSE) == (255, 255, 255)


def test_every_person_has_a_hue_and_a_number():
    image = picture(np.ones((1, 2, 17, 3), np.float32), np.concatenate([PLACES, PLACES + 20]))
    assert at(image, RIGHT_WRIST) == rgb(PEOPLE[0].right)
    x, y = (PLACES[0, RIGHT_WRIST] + 20).astype(int)
    assert tuple(image[y, x].tolist()) == rgb(PEOPLE[1].right)
    assert of_person(len(PEOPLE)) == PEOPLE[0]
    assert len({colour for hue in PEOPLE for colour in hue}) == 3 * len(PEOPLE)


def test_left_is_lighter_than_right():
    """By so much that they differ without their hues."""
    for hue in PEOPLE:
        left, middle, right = (np.dot(rgb(colour), (0.299, 0.587, 0.114)) for colour in hue)
        assert left > middle + 20
        assert middle > right + 20
    assert [sides(LAYOUT)[joint] for joint in (LEFT_WRIST, NOSE, RIGHT_WRIST)] == [LEFT, MIDDLE, RIGHT]


def test_a_view_draws_joints_at_their_projection(joints):
    joints[0, 0] = np.random.default_rng(1).uniform(-1, 1, (17, 3))
    joints[0, 0, RIGHT_WRIST] = (0.9, -0.9, 0.8)
    space = Space(np.zeros(3), 1.25, -np.ones(3))
    for view in ("front", "side", "top"):
        image = View(Skeleton("", "coco17", joints, "m"), view, space, 300).draw(0, None)
        x, y = project(joints[0, 0, RIGHT_WRIST], view, space, 300).round().astype(int)
        assert tuple(image[y, x].tolist()) == rgb(PEOPLE[0].right)
