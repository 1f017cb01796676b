"""Checkpoints: ours, written in one step, and those of the reference repositories.

Nothing is unpickled but tensors and plain values.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmcl.errors import UserError

if TYPE_CHECKING:
    from mmcl.models.backbone import Backbone
    from mmcl.models.colearn import CoLearner

log = logging.getLogger(__name__)

HEADS = ("PosMatrix", "NegMatrix", "mlp.", "FAM_Aligh.", "inception_v3.")
"""What the released MMCL model has beside its backbone; of no use to a bare backbone."""


def save(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that `path` holds either the old or the new one, never half of one.

    Args:
        path: the file.
        content: tensors, numbers, strings, and lists and dicts of them.

    Raises:
        UserError: the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a short write as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error})") from error
    os.replace(temporary, path)


def read(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are admitted.

    Raises:
        UserError: no such file, or not a checkpoint of tensors and plain values.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever the damage leads to
        raise UserError(f"{path}: cannot be read as a checkpoint ({error})") from None


def load_reference(net: "Backbone | CoLearner", state_or_path: Mapping[str, Tensor] | str | Path) -> None:
    """Load a published checkpoint of the reference repositories.

    Args:
        net: a backbone of `build_backbone`, or a `CoLearner` for MMCL's own checkpoints.
        state_or_path: the state dict, or its file. Of a name, all up to the last `module.` is ignored.

    Raises:
        UserError: an entry is missing, left over or of another shape. All of them are named.
    """
    if isinstance(state_or_path, str | Path):
        where, state = str(state_or_path), read(state_or_path)
    else:
        where, state = "state dict", dict(state_or_path)
    state = {name.rpartition("module.")[2]: value for name, value in state.items()}
    names: dict[str, list[str]] = net.reference_names()
    used = {theirs for parts in names.values() for theirs in parts}
    heads = [name for name in state if name not in used and name.startswith(HEADS)]
    if heads:
        log.info("%s: %d entries of MMCL's heads are not loaded", where, len(heads))
    problems = [f"missing: {name}" for name in sorted(used - set(state))]
    problems += [f"left over: {name}" for name in state if name not in used and name not in heads]
    own = net.state_dict()
    problems += [f"not in the reference: {name}" for name in own if name not in names]
    loaded = {}
    if not problems:
        for name, parts in names.items():
            try:
                loaded[name] = _joined([state[part] for part in parts], own[name])
            except (RuntimeError, ValueError) as error:
                shapes = ", ".join(f"{part} {tuple(state[part].shape)}" for part in parts)
                problems.append(f"wrong shape: {shapes} for {tuple(own[name].shape)} ({error})")
    if problems:
        raise UserError(f"{where} does not fit {type(net).__name__}:\n  " + "\n  ".join(problems))
    net.load_state_dict(loaded)


def _joined(parts: list[Tensor], own: Tensor) -> Tensor:
    """Reference entries as one of ours: joined along the first axis, in our shape."""
    if own.dim() == 0:  # counters of batches are equal in all parts
        return parts[0]
    return torch.cat(parts).reshape(own.shape)
