"""Held objects: where they are while a person moves, and the solids they are drawn from."""

from dataclasses import dataclass

import numpy as np

from mmcl.demo.actor import LEFT, RIGHT, Actor
from mmcl.demo.kinematics import Array, unit

KINDS = ("none", "cup", "food", "phone", "tablet", "ball")

SIZES = {
    "cup": (0.062, 0.17),
    "food": (0.052, 0.17),
    "phone": (0.105, 0.20),
    "tablet": (0.33, 0.235),
    "ball": (0.125, 0.25),
}
"""Radius and length, or width and height, in metres: large, so that they are visible in small pictures."""


@dataclass
class Held:
    """An object in world coordinates: kind, centre (T, 3), its own x axis, y axis and normal (T, 3) each."""

    kind: str
    centre: Array
    x: Array
    y: Array

    @property
    def normal(self) -> Array:
        """Third axis (T, 3)."""
        return np.cross(self.x, self.y)


def _frame(y: Array, normal: Array) -> tuple[Array, Array]:
    """Orthonormal x and y axes (T, 3) from a y axis and a rough normal."""
    y = unit(y)
    x = unit(np.cross(y, normal))
    return x, y


def carried(kind: str, a: Actor, side: int) -> Held:
    """An object that is carried in one hand and takes no part in the action."""
    hand, fingers = a.hand(side), unit(a.tip(side) - a.hand(side))
    front = a.ahead(0, 0, -1.0)
    if kind == "ball":
        x, y = _frame(np.broadcast_to([0.0, 1.0, 0.0], hand.shape), front)
        return Held(kind, hand + 0.115 * fingers + a.ahead(side * 0.03, 0, -0.02), x, y)
    if kind == "cup":
        x, y = _frame(a.ahead(0, 1.0, -0.12), front)
        return Held(kind, hand + 0.02 * fingers + a.ahead(side * 0.01, 0.03, -0.06), x, y)
    if kind == "tablet":
        x, y = _frame(fingers, front + a.ahead(side * 0.5, 0, 0))
        return Held(kind, hand + 0.10 * fingers + a.ahead(side * 0.02, 0, -0.03), x, y)
    x, y = _frame(fingers, front + a.ahead(side * 0.5, 0, 0))
    return Held(kind, hand + 0.065 * fingers + a.ahead(side * 0.01, 0, -0.03), x, y)


def in_hand(kind: str, a: Actor, side: int, lift: Array | float) -> Held:
    """An object that takes part in the action: at the mouth, at the ear or between both hands.

    Args:
        kind: any of `KINDS` but "none".
        a: posed actor.
        side: hand that holds it.
        lift: how far a cup is tilted or a phone is at the ear, 0 to 1, number or (T,).
    """
    hand, fingers = a.hand(side), unit(a.tip(side) - a.hand(side))
    lift = (np.zeros(a.frames) + lift)[:, None]
    up = a.ahead(0, 1.0, 0)
    if kind == "ball":
        x, y = _frame(up, a.ahead(0, 0, -1.0))
        middle = 0.5 * (a.hand(LEFT) + a.hand(RIGHT))
        return Held(kind, middle + 0.5 * (unit(a.tip(LEFT) - a.hand(LEFT)) * 0.08 + fingers * 0.08), x, y)
    if kind == "tablet":
        if a.tips.get(side) is not None or lift.any():
            return carried(kind, a, side)
        # steeper than towards the eyes: the cameras see its back
        face = a.ahead(0, 0.42, 0.9)
        x, y = _frame(np.cross(a.ahead(1.0, 0, 0), face), face)
        return Held(
            kind,
            a.hand(-side)
            + x * np.sign(np.sum(x * a.ahead(side, 0, 0), -1, keepdims=True)) * 0.125
            + 0.03 * y,
            x,
            y,
        )
    if kind == "cup":
        towards = unit(a.joints[4] - hand + a.ahead(0, -0.04, 0))
        x, y = _frame(up * (1 - 0.55 * lift) + towards * (0.9 * lift), a.ahead(side, 0, 0))
        return Held(kind, hand + a.ahead(-side * 0.035, 0.035, -0.02) + 0.01 * y, x, y)
    if kind == "phone":
        outward = a.ahead(side * 0.62, 0.10, -0.78)
        x, y = _frame(up * lift + fingers * (1 - lift) + a.ahead(0, 0, 0.15), outward)
        return Held(kind, hand + 0.05 * unit(fingers + up * lift) + a.ahead(side * 0.03, 0, -0.03), x, y)
    x, y = _frame(a.ahead(-side * 0.95, 0.25, -0.30), a.ahead(0, 0, -1.0))
    return Held(kind, hand + 0.045 * fingers + a.ahead(-side * 0.01, 0.015, -0.02), x, y)
