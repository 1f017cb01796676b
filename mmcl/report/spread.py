"""Some of many, evenly chosen."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def spread(values: Sequence[T], count: int) -> list[T]:
    """At most `count` of the values, evenly chosen, the first and the last among them."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[i] for i in np.unique(places)]
