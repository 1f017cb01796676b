"""A simulated Kinect: jitter, mis-tracked hands, bodies that are missed or falsely detected for some frames."""

from dataclasses import dataclass

import numpy as np

from mmcl.demo.kinematics import Array

_HANDS = (7, 8, 11, 12, 22, 23, 24, 25)
_TRUNK = (1, 2, 3, 4, 21)
_TIPS = (22, 23, 24, 25)


@dataclass
class TrackedBody:
    """One body as the sensor reports it over T frames.

    Attributes:
        identity: tracking id, a large number as text.
        joints: (T, 25, 3) camera coordinates in metres.
        states: (T, 25) 2 tracked, 1 inferred.
        present: (T,) bool, in which frames it is reported.
    """

    identity: str
    joints: Array
    states: Array
    present: Array


def jitter(joints: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sensor noise: millimetres in the trunk, more at the ends, and sometimes a hand in a wrong place.

    Args:
        joints: (T, 25, 3) clean.
        rng: source.

    Returns:
        noisy joints (T, 25, 3) and tracking states (T, 25).
    """
    frames = len(joints)
    sigma = np.full(25, 0.005)
    sigma[np.array(_TRUNK) - 1] = 0.0025
    sigma[np.array(_HANDS) - 1] = 0.008
    sigma[np.array(_TIPS) - 1] = 0.014
    noise = rng.normal(0, 1, joints.shape)
    for t in range(1, frames):
        noise[t] = 0.55 * noise[t - 1] + 0.84 * noise[t]
    noisy = joints + noise * sigma[:, None]
    states = np.full((frames, 25), 2)
    for group in ((7, 8, 22, 23), (11, 12, 24, 25)):
        if rng.random() < 0.3:
            length = int(rng.integers(3, 9))
            start = int(rng.integers(0, max(frames - length, 1)))
            index = np.array(group) - 1
            bump = np.sin(np.pi * (np.arange(length) + 0.5) / length)[: frames - start, None, None]
            wrong = rng.normal(0, 0.09, 3) * bump
            noisy[start : start + length, index] += wrong
            states[start : start + length, index] = 1
    for foot in (16, 20):
        states[rng.random(frames) < 0.06, foot - 1] = 1
    return noisy, states


def track(joints: Array, rng: np.random.Generator) -> list[TrackedBody]:
    """The bodies a Kinect reports for a clip.

    Args:
        joints: (T, M, 25, 3) clean, camera coordinates.
        rng: source.

    Returns:
        One body per person; in some two-person clips one is missing for a few frames, or a third appears
        briefly.
    """
    frames, persons = joints.shape[:2]
    identity = 72057594037900000 + int(rng.integers(0, 90000))
    bodies = []
    for person in range(persons):
        noisy, states = jitter(joints[:, person], rng)
        bodies.append(TrackedBody(str(identity + 17 * person), noisy, states, np.ones(frames, bool)))
    if persons < 2:
        return bodies
    length = int(rng.integers(4, 9))
    start = int(rng.integers(0, max(frames - length, 1)))
    chance = rng.random()
    if chance < 0.2:
        bodies[1].present[start : start + length] = False
    elif chance < 0.4:
        ghost = joints[:, 0] * np.array([0.6, 0.25, 1.0]) + rng.uniform((-0.9, -0.2, 0.4), (0.9, 0.1, 1.0))
        noisy, _ = jitter(ghost + rng.normal(0, 0.05, (25, 3)), rng)
        present = np.zeros(frames, bool)
        present[start : start + length] = True
        bodies.append(TrackedBody(str(identity + 4001), noisy, np.ones((frames, 25), int), present))
    return bodies
