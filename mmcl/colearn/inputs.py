"""What co-learning terms need of the training clips, by name: read from stores, joined by clip name, with a mask.

`picture` is for FAM: rgb features of a frozen CNN, or montages where the CNN is trained along. `answer` is for FRM.
Any other name is read from stores `mmcl.<name>/1`, column `features`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmcl.colearn.words import WIDTH, embed
from mmcl.errors import UserError, some
from mmcl.settings.model import ModelSettings, read_of
from mmcl.store import Shards

TOGETHER = 256
"""Clips whose states of all tokens are read together."""
BOS = 30522
"""The token that BLIP begins an answer with; the released FRM reads it with the two that follow."""


class Masked(NamedTuple):
    """Values of B clips.

    Attributes:
        values: (B, …), zero where the mask is false.
        mask: (B) bool, the clips that have a value.
    """

    values: Tensor
    mask: Tensor


class Complete(Masked):
    """Values of clips that all have one, which is known without looking at the mask."""


@dataclass(frozen=True)
class Clips:
    """The training clips that inputs are read for.

    Attributes:
        names: of the N clips.
        device: of the training.
        seed: of the run.
        workers: processes that decode pictures; 0 for none.
    """

    names: Sequence[str]
    device: torch.device
    seed: int
    workers: int


class Input(ABC):
    """What a term needs of the training clips.

    Attributes:
        shape: of one clip's value, after `network`.
        fingerprints: of the files.
        without: the clips that have none.
        network: is trained along and gives the value, such as a CNN for pictures; None where values are as read.
    """

    shape: tuple[int, ...]
    fingerprints: list[str]
    without: list[str]
    network: nn.Module | None = None

    @abstractmethod
    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Any]:
        """The values of an epoch's batches.

        Args:
            draw: of the feeder, on the device; `draw.order` (P) are rows of the clips.
            parts: of the draw, one for each batch.
        """


class Table(Input):
    """Values that fit on the device.

    Args:
        shards: stores.
        clips: the clips.
        values: of all clips, see `Masked`.
    """

    def __init__(self, shards: Shards, clips: Clips, values: Masked):
        self.shape = tuple(values.values.shape[1:])
        self.fingerprints = [shards.fingerprint]
        self.without = [name for name in clips.names if name not in shards]
        self.values = Masked(*(part.to(clips.device) for part in values))

    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Masked]:
        """See `Input`."""
        kind = Masked if self.without else Complete
        for part in parts:
            rows = draw.order[part]
            yield kind(self.values.values[rows], self.values.mask[rows])


def open_input(name: str, paths: Sequence[Path], clips: Clips, model: ModelSettings) -> Input:
    """Read an input of the model's terms.

    Args:
        name: of the input.
        paths: its stores.
        clips: the training clips.
        model: whose terms need it.

    Raises:
        UserError: no stores, or they are not those of the input.
    """
    if name == "picture" and not model.fam.cnn.frozen:
        from mmcl.colearn.montages import Montages

        return Montages(_shards(paths, "mmcl.montages/1", "montages"), clips, model.fam.cnn)
    if name == "picture":
        shards = _shards(paths, "mmcl.rgb/1", "rgb features")
        return Table(shards, clips, features(shards, clips.names))
    if name == "answer":
        shards = _shards(paths, "mmcl.answers/1", "answers")
        return Table(shards, clips, answer_features(shards, clips.names, model.frm.input, clips.seed))
    shards = _shards(paths, f"mmcl.{name}/1", name)
    return Table(shards, clips, features(shards, clips.names))


def _shards(paths: Sequence[Path], schema: str, what: str) -> Shards:
    if not paths:
        raise UserError(f"the model's settings ask for {what}, but none were given")
    return Shards(paths, schema)


def features(shards: Shards, names: Sequence[str]) -> Masked:
    """The column `features` (N, …) float32 of clips."""
    return _spread(shards, names, lambda found: shards.read("features", found), shards.shape("features"))


def answer_features(shards: Shards, names: Sequence[str], kind: str, seed: int) -> Masked:
    """What φ reads of the answers, (N, D) float32.

    Args:
        shards: `mmcl.answers/1`.
        names: of the N clips.
        kind: `frm.input`: `hidden`, the state that produced the first token; `mean`, of the states that produced the
            answer's tokens, its end among them; `last`, the state that produced the last of them; `p_yes`; `text`, see
            `mmcl.colearn.words`; `answer_ids`, [BOS, ids₀, ids₁] as they are; controls without information about the
            clip: `shuffled`, each clip with the hidden state of another, `shuffled_mean` and so on, and `constant`, a
            one.
        seed: of the shuffling.

    Raises:
        UserError: the answers do not have it.
    """
    asked = kind
    kind, shuffled = read_of(asked)
    if shuffled:
        found = [name for name in names if name in shards]
        order = np.random.default_rng(seed).permutation(len(found))
        given = {name: found[i] for name, i in zip(found, order, strict=True)}
        names = [given.get(name, name) for name in names]
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
    if kind == "text":
        return _spread(shards, names, lambda found: embed(shards.read("text", found).tolist()), (WIDTH,))

    if not shards.shape("states")[1]:
        raise UserError(
            f"{shards.paths[0]}: frm.input {asked} needs hidden states, and these answers have none"
        )

    return _spread(shards, names, lambda found: _states(shards, found, kind), shards.shape("states")[1:])


def _states(shards: Shards, names: list[str], kind: str) -> np.ndarray:
    """A state of each clip's answer, or their mean, (N, D) float32; those of all tokens need not fit into memory."""
    row = {name: i for i, name in enumerate(names)}
    values = np.empty((len(names), *shards.shape("states")[1:]), np.float32)
    for several, (states, mask) in shards.parts(("states", "mask"), TOGETHER):
        own = [i for i, name in enumerate(several) if name in row]
        empty = [several[i] for i in own if not mask[i].any()]
        if empty and kind in ("mean", "last"):
            raise UserError(
                f"{shards.path(empty[0])}: frm.input {kind} needs answers of at least one token, which these are not: "
                f"{some(empty)}"
            )
        values[[row[several[i]] for i in own]] = _of_tokens(states[own], mask[own], kind)
    return values


def _of_tokens(states: np.ndarray, mask: np.ndarray, kind: str) -> np.ndarray:
    """Of states (N, K, D) with `mask` (N, K) their `mean`, their `last`, or for another kind the first of all."""
    found: np.ndarray = states[:, 0]
    if kind == "mean":
        found = (states * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    elif kind == "last":
        last = mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
        found = states[np.arange(len(states)), last]
    return found


def _p_yes(shards: Shards, names: list[str]) -> np.ndarray:
    values = shards.read("p_yes", names)
    if np.isnan(values).all():
        raise UserError(
            f"{shards.paths[0]}: frm.input p_yes needs a question that is answered with yes or no"
        )
    return values[:, None]


def _ids(shards: Shards, names: list[str]) -> np.ndarray:
    ids = shards.read("ids", names)[:, :2]
    if (ids < 0).any():
        raise UserError(
            f"{shards.paths[0]}: frm.input answer_ids needs the answers' tokens, and these answers have none"
        )
    return np.concatenate([np.full((len(names), 1), BOS), ids], axis=1)


def _spread(
    shards: Shards, names: Sequence[str], read: Callable[[list[str]], np.ndarray], shape: tuple[int, ...]
) -> Masked:
    """Rows of the clips that have one, among zeros for the others."""
    mask = torch.tensor([name in shards for name in names], dtype=torch.bool)
    values = torch.zeros(len(names), *shape)
    found = [name for name in names if name in shards]
    if found:
        values[mask] = torch.from_numpy(np.asarray(read(found), np.float32))
        finite = values[mask].flatten(1).isfinite().all(1).tolist()
        if wrong := [name for name, good in zip(found, finite, strict=True) if not good]:
            raise UserError(
                f"{shards.path(wrong[0])}: values of {len(wrong)} of {len(found)} clips are not finite "
                f"({some(wrong)}); delete such files and run again"
            )
    return Masked(values, mask)
