"""Colours: the hue is the person, light is left and dark is right, so that colour-blind readers tell both apart.

The hues are Brewer's sequential schemes of blue, orange, green and purple (Harrower and Brewer, 2003), whose steps
differ in lightness.
"""

from typing import NamedTuple

from mmcl.layouts import Layout

LEFT, MIDDLE, RIGHT = range(3)

UNSURE = "#b8b8b8"
"""Of joints that an estimator is not sure of."""


class Hue(NamedTuple):
    """The colours of a person's left side, middle and right side."""

    left: str
    middle: str
    right: str


PEOPLE = (
    Hue("#6baed6", "#2a7ab9", "#08306b"),
    Hue("#fdae6b", "#e6550d", "#8c2d04"),
    Hue("#74c476", "#238b45", "#00441b"),
    Hue("#bcbddc", "#807dba", "#3f007d"),
)


def of_person(number: int) -> Hue:
    """The colours of a person; from the fifth on they repeat."""
    return PEOPLE[number % len(PEOPLE)]


def sides(layout: Layout) -> list[int]:
    """LEFT, MIDDLE or RIGHT of every joint."""
    found = [MIDDLE] * len(layout)
    for left, right in layout.left_right:
        found[left], found[right] = LEFT, RIGHT
    return found


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as numbers."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
