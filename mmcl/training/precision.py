"""The precision that a training computes in."""

import torch


def autocast(precision: str, place: torch.device) -> torch.autocast:
    """A context for forward passes: with `precision` bf16 products and convolutions in bfloat16, else as they are."""
    return torch.autocast(place.type, torch.bfloat16, enabled=precision == "bf16")
