"""The precision in which a training computes."""

import torch


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """A context for forward passes: matrix products and convolutions in bfloat16 if `precision` is bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
