"""How exactly a GPU multiplies float32. This is the one place that sets `torch.backends`.

Tensor cores round the factors of float32 products to TF32, 10 bits of the fraction instead of 23, where torch lets
them; sums stay float32. Left alone, torch does so in cuDNN's convolutions and not in matrix products. A CPU knows no
TF32.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Matrix products and convolutions of float32 in TF32, or in float32; only of GPUs.

    The kernels of `mmcl.models.kernels` follow. It is read when an operation is started or recorded, and by backward
    passes when these are.
    """
    import torch

    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = tf32
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


@contextmanager
def exact(device: "torch.device") -> Iterator[None]:
    """Float32 products to all their digits whatever the precision of what is around: no autocast and no TF32.

    For positions in metres and for differences of products, of which three digits would leave nothing. The backward
    pass is in the precision of what is around.
    """
    import torch

    known = torch.amp.is_autocast_available(device.type)
    with (
        torch.autocast(device.type, enabled=False) if known else nullcontext(),
        products(tf32=False) if device.type == "cuda" else nullcontext(),
    ):
        yield


@contextmanager
def searched_convolutions(wanted: bool = True) -> Iterator[None]:
    """Whether cuDNN times its algorithms for each new shape and takes the fastest: for shapes that stay the same."""
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = wanted
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
