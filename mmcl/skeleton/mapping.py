"""Skeletons of one joint layout turned into another."""

from functools import cache

import numpy as np

from mmcl.errors import UserError
from mmcl.layouts import Layout, get_layout


def joint_map(source: str, target: str) -> list[dict[int, float]]:
    """How the joints of layout `target` are made from those of layout `source`.

    A joint that the source has is taken as it is. For another, the target's rules name joints that replace it:
    the first rule whose joints the source has, else the first whose joints can all be made themselves.

    Returns:
        Per target joint {source joint: weight}; the weights of a joint sum to 1.

    Raises:
        UserError: no such layout; or joints that the source lacks and no rule makes, which are listed.
    """
    have, want = get_layout(source), get_layout(target)
    made = {joint: _made(joint, have, want, frozenset()) for joint in want.joints}
    if missing := [joint for joint, parts in made.items() if parts is None]:
        raise UserError(
            f"layout {target} cannot be made from {source}, which has no {', '.join(missing)} and nothing that "
            "a rule takes instead (docs/layouts.md)"
        )
    return [{have.index(part): weight for part, weight in (parts or {}).items()} for parts in made.values()]


def _made(joint: str, have: Layout, want: Layout, pending: frozenset[str]) -> dict[str, float] | None:
    """A joint from the joints of `have`, by name; None if it cannot be made. `pending`: joints being made already."""
    if joint in have.joints:
        return {joint: 1.0}
    pending |= {joint}
    # rules whose joints the source has come first: the sort is stable
    for rule in sorted(want.rules.get(joint, ()), key=lambda rule: not set(have.joints).issuperset(rule)):
        sources = {part: None if part in pending else _made(part, have, want, pending) for part in rule}
        parts: dict[str, float] = {}
        for part, share in rule.items():
            for name, weight in (sources[part] or {}).items():
                parts[name] = parts.get(name, 0.0) + share * weight
        if None not in sources.values():
            return parts
    return None


def map_joints(x: np.ndarray, source: str, target: str) -> np.ndarray:
    """Skeletons (…, V, D) of layout `source` as skeletons (…, V', D) of layout `target`.

    Each joint is a weighted mean of the source's joints with weights that sum to 1, so moving the source
    moves the result the same way; a person who is absent (all zero) stays all zero.

    Raises:
        UserError: see `joint_map`.
    """
    mapped: np.ndarray = _weights(source, target).astype(x.dtype) @ x
    return mapped


@cache
def _weights(source: str, target: str) -> np.ndarray:
    """`joint_map` as a matrix (V', V)."""
    mapping = joint_map(source, target)
    weights = np.zeros((len(mapping), len(get_layout(source))))
    for row, parts in zip(weights, mapping, strict=True):
        row[list(parts)] = list(parts.values())
    return weights
