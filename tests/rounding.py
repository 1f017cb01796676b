"""How much of a difference rounding explains: bounds that follow from the condition of what is computed."""

from collections.abc import Callable

import numpy as np

DRAWS = 16


def rounding_of(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, units: float = 16) -> np.ndarray:
    """By how much each number of function(x) may differ when it is computed in float32.

    A difference of bones that are close together, or the axis about which two nearly parallel ones turn, loses digits:
    no fixed tolerance holds for all random skeletons, and for all orders of additions. What rounding does to x moves
    each number of the result by `unit · ‖∂f/∂x‖`, with one unit in the last place of the largest coordinate, as
    rotation and interpolation mix coordinates. That is measured: x is moved by such units at random, DRAWS times,
    and the root mean square of what the results move by is the sensitivity of each. A few dozen roundings come to a
    few units.

    Args:
        function: float64 -> float64.
        x: its argument.
        units: how many of these movements are accepted, and of units in the last place of the largest result.
    """
    unit = np.finfo(np.float32).eps
    x = np.asarray(x, np.float64)
    expected = function(x)
    random = np.random.default_rng(0)
    size = unit * abs(x).max()
    moved = [function(x + size * random.uniform(-1, 1, x.shape)) - expected for _ in range(DRAWS)]
    accepted = units * (np.sqrt(np.mean(np.square(moved), 0)) + unit * abs(expected).max())
    # a number that is far worse conditioned than the others tests nothing: it must stay the exception
    assert np.median(accepted) < 1e-3 * abs(expected).max()
    return accepted


def assert_same_but_for_rounding(found: np.ndarray, expected: np.ndarray, accepted: np.ndarray) -> None:
    """Compare what was computed in float32 with what it should be, within `rounding_of`."""
    apart = abs(found - expected)
    assert (apart <= accepted).all(), (
        f"{(apart > accepted).sum()} of {apart.size} numbers differ, by up to "
        f"{np.nanmax(apart / accepted):.1f} times what rounding explains"
    )
