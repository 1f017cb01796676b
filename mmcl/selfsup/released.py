"""One encoder from a published checkpoint of CrosSCLR or IKEM, of any of their trainings.

Whole trainings are read by `mmcl.checkpoints.load_reference` into a `Pretrainer` or a `Distiller`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcl.checkpoints import load_reference, reference_entries
from mmcl.errors import UserError
from mmcl.models.backbone import Backbone
from mmcl.selfsup.names import EARLY, LETTERS, SUFFIXES

PROJECTION = ("0.weight", "0.bias", "2.weight", "2.bias")
"""Of the projection head that pre-training has in place of the classifier."""


def load_encoder(
    net: Backbone, state_or_path: Mapping[str, Any] | str | Path, modality: str, role: str = "query"
) -> bool:
    """Load one modality's encoder, strictly.

    Args:
        net: `stgcn16`, with as many classes as the checkpoint if that has a classifier.
        state_or_path: a checkpoint of pre-training, distillation or linear evaluation; see `load_reference`.
        modality: which, or `early` for the single student of three fused modalities.
        role: `query`, `key` or `student`.

    Returns:
        Whether the checkpoint has a classifier. If not, the net keeps its own.

    Raises:
        UserError: no such encoder in the checkpoint, or one that does not fit the net.
    """
    where, state = reference_entries(state_or_path)
    prefix = f"{_name(modality, role)}."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not own:
        there = sorted({name.partition(".")[0] for name in state if name.startswith("encoder")})
        raise UserError(f"{where}: no {prefix[:-1]} in it; encoders there: {', '.join(there) or 'none'}")
    for layer in PROJECTION:
        own.pop(f"fc.{layer}", None)
    classifies = "fc.weight" in own
    if not classifies:
        own |= {"fc.weight": net.head.weight.detach().clone(), "fc.bias": net.head.bias.detach().clone()}
    load_reference(net, own)
    return classifies


def _name(modality: str, role: str) -> str:
    """What the released code calls an encoder."""
    if role == "student":
        mark = "" if modality == EARLY else f"_{LETTERS.get(modality, modality)}"
        return f"encoder_student{mark}"
    if role not in ("query", "key") or modality not in SUFFIXES:
        raise UserError(f"no {role} encoder of {modality} in published checkpoints")
    return f"encoder_{role[0]}{SUFFIXES[modality]}"
