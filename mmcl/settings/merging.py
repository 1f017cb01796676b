"""Plain mappings of settings, before they are validated: merging, and where a value was stated."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Plain = dict[str, Any]
"""A piece of config.yaml as it is read."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Plain:
    """`over` on top of `base`: mappings are merged key by key, everything else is replaced. Neither is changed."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def states(plain: Any, path: Sequence[str | int]) -> bool:
    """Whether a piece of config.yaml states the key at a path."""
    for key in path:
        if isinstance(key, int):
            return isinstance(plain, list | tuple)
        if not isinstance(plain, dict) or key not in plain:
            return False
        plain = plain[key]
    return True


def flat(plain: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings as rows: {"model": {"width": 1}} -> {"model.width": 1}."""
    rows: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            rows |= flat(value, f"{above}{key}.")
        else:
            rows[f"{above}{key}"] = value
    return rows
