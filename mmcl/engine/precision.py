"""The precision in which networks compute: the values of the setting `precision`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmcl.precision import products


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Float32 products as a precision says: to all digits with `fp32`, else on a GPU in TF32.

    Args:
        precision: `fp32`, `tf32`, or `bf16`, with which it holds for what `autocast` leaves in float32.
    """
    with products(tf32=precision != "fp32"):
        yield


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """A context for forward passes: matrix products and convolutions in bfloat16 if `precision` is bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
