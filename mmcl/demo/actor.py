"""A person in motion: fixed feet, a trunk, arms that reach for targets, and the 25 Kinect joints."""

from dataclasses import dataclass, field

import numpy as np

from mmcl.demo.body import Body
from mmcl.demo.kinematics import Array, apply, rot_x, rot_y, rot_z, two_bones, unit, wander

LEFT, RIGHT = -1, 1
"""Sides as signs of the body's own x axis, which points to the person's right."""


@dataclass
class Actor:
    """A person with curves over T frames; an action sets some curves, `pose` computes the joints from them.

    The body's own axes are x to the person's right, y up, z backwards; facing the camera (yaw 0) they are the
    world's. World and camera coordinates are metres, right-handed in Kinect's sense: x to the right of the
    (mirrored) picture, y up, z away from the camera.
    """

    body: Body
    rng: np.random.Generator
    phase: Array
    """(T,) from 0 to 1 over the clip."""
    seconds: Array
    """(T,) time in seconds."""
    spot: Array
    """(2,) x and z of the place where the person stands."""
    facing: float
    """Yaw in rad; 0 faces camera 1."""
    drop: Array | float = 0.0
    """Metres by which the hips are lower than in standing."""
    back: Array | float = 0.0
    """Metres by which the hips are behind the feet."""
    bend: Array | float = 0.0
    """Forward pitch of the chest, rad."""
    lean: Array | float = 0.0
    twist: Array | float = 0.0
    """Turn of the chest against the pelvis, rad, positive to the person's left."""
    nod: Array | float = 0.0
    """Forward pitch of the head against the chest, rad."""
    look: Array | float = 0.0
    """Turn of the head against the chest, rad, positive to the person's left."""
    tilt: Array | float = 0.0
    heels: Array | float = 0.0
    """Metres by which the ankles are lifted (standing on toes)."""
    knees_out: float = 0.25
    hands: dict[int, Array] = field(default_factory=dict)
    """Target (T, 3) of a hand joint per side; a missing side hangs."""
    elbows: dict[int, Array] = field(default_factory=dict)
    """Bending direction of the elbow per side in body axes, (3,) or (T, 3)."""
    tips: dict[int, Array] = field(default_factory=dict)
    """Direction (T, 3) of the finger tips per side, mixed with the forearm's."""

    def __post_init__(self) -> None:
        frames, sway = len(self.phase), self.body.sway
        self._sway = wander(self.rng, self.seconds, 10) * sway
        self._hand_sway = {s: wander(self.rng, self.seconds, 3) * 0.008 * sway for s in (LEFT, RIGHT)}
        self._feet = {s: self.rng.uniform(-0.03, 0.03, 2) for s in (LEFT, RIGHT)}
        self._toes = {s: self.rng.uniform(0.05, 0.35) for s in (LEFT, RIGHT)}
        self.frames = frames

    def settle(self) -> None:
        """Place trunk, head and legs from the curves; afterwards the reference points for the hands exist."""
        b, t, sway = self.body, self.frames, self._sway
        zeros = np.zeros(t)
        yaw = zeros + self.facing
        self.heading = rot_y(yaw)
        hips = np.zeros((t, 3))
        hips[:, 1] = b.standing * 0.992 - self.drop + self.heels
        hips += apply(
            self.heading, np.stack([zeros + 0.012 * sway[:, 0], zeros, self.back + 0.008 * sway[:, 1]], -1)
        )
        hips += np.array([self.spot[0], 0.0, self.spot[1]])
        bend = self.bend + b.stoop + 0.012 * sway[:, 2]
        lean = self.lean + 0.012 * sway[:, 3]
        twist = self.twist + 0.02 * sway[:, 4]
        self.pelvis_axes = rot_y(yaw + 0.25 * twist) @ rot_z(-0.3 * lean) @ rot_x(-0.35 * bend)
        lower = rot_y(yaw + 0.6 * twist) @ rot_z(-0.7 * lean) @ rot_x(-0.7 * bend)
        self.chest_axes = rot_y(yaw + twist) @ rot_z(-lean) @ rot_x(-bend)
        neck = (
            rot_y(yaw + twist + 0.4 * self.look)
            @ rot_z(-lean - 0.4 * self.tilt)
            @ rot_x(-bend - 0.4 * self.nod)
        )
        nod = bend * 0.35 + self.nod + 0.03 * sway[:, 5]
        self.head_axes = (
            rot_y(yaw + twist + self.look + 0.05 * sway[:, 6])
            @ rot_z(-lean * 0.5 - self.tilt - 0.02 * sway[:, 7])
            @ rot_x(-nod)
        )
        j: dict[int, Array] = {}
        j[1] = hips + apply(self.pelvis_axes, np.array([0, 0.035, 0]))
        j[2] = j[1] + apply(lower, np.array([0, b.lower_spine, 0]))
        j[21] = j[2] + apply(self.chest_axes, np.array([0, b.upper_spine, 0]))
        j[3] = j[21] + apply(neck, np.array([0, b.neck, -0.004]))
        j[4] = j[3] + apply(self.head_axes, np.array([0, b.head, -0.025]))
        for side, shoulder, hip in ((LEFT, 5, 13), (RIGHT, 9, 17)):
            j[shoulder] = j[21] + apply(
                self.chest_axes, np.array([side * b.shoulder, -b.shoulder_drop, 0.01])
            )
            j[hip] = j[1] + apply(self.pelvis_axes, np.array([side * b.hip, -0.035, 0]))
            place = np.array(
                [side * (b.hip + 0.035) * b.stance + self._feet[side][0], 0, 0.02 + self._feet[side][1]]
            )
            ankle = apply(self.heading, place) + np.array([self.spot[0], b.ankle, self.spot[1]])
            ankle[:, 1] += self.heels
            out = apply(self.heading, np.array([side * self.knees_out, 0.05, -1.0]))
            j[hip + 1], j[hip + 2] = two_bones(j[hip], ankle, b.thigh, b.shin, out)
            toe = np.array([side * np.sin(self._toes[side]), 0, -np.cos(self._toes[side])])
            drop = np.stack([zeros, zeros - 0.35 - self.heels / b.foot, zeros], -1)
            j[hip + 3] = j[hip + 2] + b.foot * unit(apply(self.heading, toe) + drop)
        self.joints = j

    def chest(self, x: float | Array, y: float | Array, z: float | Array) -> Array:
        """World position (T, 3) of a point in chest axes (metres), counted from the spine-shoulder joint."""
        point: Array = self.joints[21] + apply(self.chest_axes, _stack(self.frames, x, y, z))
        return point

    def head(self, x: float | Array, y: float | Array, z: float | Array) -> Array:
        """World position (T, 3) of a point in head axes (metres), counted from the head joint."""
        point: Array = self.joints[4] + apply(self.head_axes, _stack(self.frames, x, y, z))
        return point

    def ahead(self, x: float | Array, y: float | Array, z: float | Array) -> Array:
        """World direction (T, 3) of a vector in the person's upright axes."""
        return apply(self.heading, _stack(self.frames, x, y, z))

    def hang(self, side: int) -> Array:
        """Where the hand (T, 3) of a hanging arm is."""
        b = self.body
        swing = self._sway[:, 8 if side == LEFT else 9]
        offset = self.ahead(
            side * (0.05 + 0.06 * max(b.girth - 0.85, 0)) * 1.4, -0.965 * b.arm, -0.05 + 0.01 * swing
        )
        hand: Array = self.joints[5 if side == LEFT else 9] + offset
        return hand

    def pose(self) -> None:
        """Add arms and hands; afterwards `joints` holds all 25 (1-based numbers), each (T, 3)."""
        b, j = self.body, self.joints
        for side, shoulder, tip in ((LEFT, 5, 22), (RIGHT, 9, 24)):
            target = self.hands.get(side, self.hang(side)) + self._hand_sway[side]
            hint = self.elbows.get(side, np.array([side * (0.55 + b.elbow), -0.75, 0.6]))
            hint = apply(self.chest_axes, hint)
            j[shoulder + 1], j[shoulder + 3] = two_bones(
                j[shoulder], target, b.upper_arm, b.forearm + b.hand, hint
            )
            along = unit(j[shoulder + 3] - j[shoulder + 1])
            j[shoulder + 2] = j[shoulder + 1] + b.forearm * along
            fingers = unit(along + self.tips.get(side, np.zeros(3)))
            j[tip] = j[shoulder + 3] + b.tip * fingers
            inward = apply(self.chest_axes, np.array([-side * 0.6, 0.2, -1.0]))
            inward -= np.sum(inward * along, -1, keepdims=True) * along
            j[tip + 1] = j[shoulder + 3] + b.thumb * unit(unit(inward) + 0.5 * along)

    def stacked(self) -> Array:
        """Joints (T, 25, 3) in the NTU order, world metres."""
        return np.stack([self.joints[k] for k in range(1, 26)], 1)

    def hand(self, side: int) -> Array:
        """Hand joint (T, 3)."""
        return self.joints[8 if side == LEFT else 12]

    def tip(self, side: int) -> Array:
        """Finger tip (T, 3)."""
        return self.joints[22 if side == LEFT else 24]


def _stack(frames: int, *parts: float | Array) -> Array:
    return np.stack([np.zeros(frames) + p for p in parts], -1)
