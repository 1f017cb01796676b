"""What FAM and FRM are given, joined by clip name; a mask tells which clips have it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.store import Shards

BOS = 30522
"""The token BLIP begins an answer with; the released FRM reads it with the two that follow."""


def rgb_features(shards: Shards, names: list[str]) -> tuple[Tensor, Tensor]:
    """CNN features (N, D) float32 of `mmcl.rgb/1` and which clips have them (N) bool."""
    return _spread(shards, names, lambda found: shards.read("features", found), shards.shape("features"))


def answer_features(shards: Shards, names: list[str], kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """What φ reads of the answers.

    Args:
        shards: `mmcl.answers/1`.
        names: clips.
        kind: `hidden`: the state that produced the first token; `p_yes`; `answer_ids`: [BOS, ids₀, ids₁] as
            they are; controls without information about the clip: `shuffled`, each clip with the hidden state
            of another, and `constant`, a one.
        seed: of the shuffling.

    Returns:
        (N, D) float32, zero where there is none, and (N) bool.

    Raises:
        UserError: no such kind, or the answers do not have it.
    """
    if kind == "constant":
        return _spread(shards, names, lambda found: np.ones((len(found), 1)), (1,))
    if kind == "p_yes":
        return _spread(shards, names, lambda found: _p_yes(shards, found), (1,))
    if kind == "answer_ids":
        if shards.shape("ids")[0] < 2:
            raise UserError(
                "frm.input answer_ids needs two tokens of an answer: set vlm.max_new_tokens to 2 or more"
            )
        return _spread(shards, names, lambda found: _ids(shards, found), (3,))
    if kind not in ("hidden", "shuffled"):
        raise UserError(f"no frm.input {kind!r}; there are: hidden, p_yes, answer_ids, shuffled, constant")

    def states(found: list[str]) -> np.ndarray:
        if kind == "shuffled":
            found = [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
        return shards.read("states", found)[:, 0]

    return _spread(shards, names, states, shards.shape("states")[1:])


def _p_yes(shards: Shards, names: list[str]) -> np.ndarray:
    values = shards.read("p_yes", names)
    if np.isnan(values).any():
        raise UserError(
            f"{shards.paths[0]}: frm.input p_yes needs a question that is answered with yes or no"
        )
    return values[:, None]


def _ids(shards: Shards, names: list[str]) -> np.ndarray:
    ids = shards.read("ids", names)[:, :2]
    return np.concatenate([np.full((len(names), 1), BOS), ids], axis=1)


def _spread(
    shards: Shards, names: list[str], read: Callable[[list[str]], np.ndarray], shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Rows of the clips that are there, among zeros for those that are not."""
    has = torch.tensor([name in shards for name in names], dtype=torch.bool)
    values = torch.zeros(len(names), *shape)
    found = [name for name in names if name in shards]
    if found:
        values[has] = torch.from_numpy(np.asarray(read(found), np.float32))
    return values, has
