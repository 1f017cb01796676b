"""Rotations, two-bone limbs and smooth curves. All functions work on all T frames at once."""

import itertools
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def rot_x(angle: Array) -> Array:
    """Rotation about x; angle (T,) rad -> (T, 3, 3)."""
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([i, o, o, o, c, -s, o, s, c], -1).reshape(-1, 3, 3)


def rot_y(angle: Array) -> Array:
    """Rotation about y; angle (T,) rad -> (T, 3, 3)."""
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([c, o, s, o, i, o, -s, o, c], -1).reshape(-1, 3, 3)


def rot_z(angle: Array) -> Array:
    """Rotation about z; angle (T,) rad -> (T, 3, 3)."""
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([c, -s, o, s, c, o, o, o, i], -1).reshape(-1, 3, 3)


def apply(rotation: Array, vector: Array) -> Array:
    """Rotate (3,) or (T, 3) vectors by (T, 3, 3) rotations -> (T, 3)."""
    rotated: Array = np.einsum("tij,tj->ti", rotation, np.broadcast_to(vector, (len(rotation), 3)))
    return rotated


def unit(vector: Array) -> Array:
    """Vectors (…, 3) scaled to length one; zero stays zero."""
    scaled: Array = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)
    return scaled


def two_bones(root: Array, target: Array, first: float, second: float, hint: Array) -> tuple[Array, Array]:
    """Middle and end of a limb of two rigid bones that reaches for a target (law of cosines).

    Args:
        root: shoulder or hip (T, 3).
        target: target of the end (T, 3); out of reach, the limb points at it almost straight.
        first, second: bone lengths in metres.
        hint: direction (T, 3) towards which the middle joint bends.

    Returns:
        middle (T, 3), end (T, 3), at exact bone lengths.
    """
    line = target - root
    reach = np.linalg.norm(line, axis=-1, keepdims=True)
    axis = line / np.maximum(reach, 1e-9)
    reach = np.clip(reach, abs(first - second) * 1.02 + 1e-3, (first + second) * 0.9995)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    aside = np.sqrt(np.maximum(first**2 - along**2, 0))
    bend = hint - np.sum(hint * axis, -1, keepdims=True) * axis
    middle = root + along * axis + aside * unit(bend)
    return middle, root + reach * axis


def ease(x: Array) -> Array:
    """Minimum-jerk step from 0 to 1 (Flash and Hogan 1985): 10x³ − 15x⁴ + 6x⁵."""
    x = np.clip(x, 0.0, 1.0)
    eased: Array = x * x * x * (10.0 + x * (6.0 * x - 15.0))
    return eased


def curve(phase: Array, keys: Sequence[tuple[float, Array | float]]) -> Array:
    """Smooth curve through key frames, with zero velocity at each.

    Args:
        phase: (T,) time from 0 to 1.
        keys: (time, value) in order of time; a value is a number, or an array (T, …) that changes with time.

    Returns:
        (T, …): each stretch blends from one value to the next by the minimum-jerk step.
    """
    first = np.asarray(keys[0][1], dtype=float)
    result = first + np.zeros((len(phase), *first.shape[1:]))
    for (start, _), (end, value) in itertools.pairwise(keys):
        weight = ease((phase - start) / max(end - start, 1e-6))
        weight = weight.reshape((-1,) + (1,) * (result.ndim - 1))
        result = result + (np.asarray(value, dtype=float) - result) * weight
    return result


def wander(rng: np.random.Generator, seconds: Array, channels: int) -> Array:
    """Small sway: three slow sinusoids per channel with random phases.

    Args:
        rng: source of frequencies and phases.
        seconds: (T,) time.
        channels: number of independent curves.

    Returns:
        (T, channels), about unit variance.
    """
    frequency = rng.uniform([[0.15], [0.4], [0.9]], [[0.4], [0.9], [1.8]], (3, channels))
    offset = rng.uniform(0, 2 * np.pi, (3, channels))
    weight = np.array([1.0, 0.7, 0.35])[:, None]
    waves = np.sin(2 * np.pi * frequency * seconds[:, None, None] + offset)
    curves: Array = (waves * weight).sum(1) / np.sqrt((weight**2).sum() / 2)
    return curves
