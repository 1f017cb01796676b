"""Skeletons of one joint layout turned into another."""

import numpy as np

from mmcl.layouts import joint_map, layout


def map_joints(x: np.ndarray, source: str, target: str) -> np.ndarray:
    """Skeletons (…, V, D) of layout `source` as skeletons (…, V', D) of layout `target`.

    Each joint is a weighted mean of the source's joints with weights that sum to 1, so moving the source
    moves the result the same way; a person who is absent (all zero) stays all zero.

    Raises:
        UserError: see `mmcl.layouts.joint_map`.
    """
    mapping = joint_map(source, target)
    weights = np.zeros((len(mapping), len(layout(source))), x.dtype)
    for row, parts in zip(weights, mapping, strict=True):
        row[list(parts)] = list(parts.values())
    return weights @ x
