"""Triton kernels for NVIDIA GPUs, each beside its plain torch form.

The plain form is the definition. It runs on CPUs, without Triton, in exported graphs, for shapes that a kernel does
not take, and wherever a kernel does not pass its check: the first time that a process would use a kernel with a data
type and shape, both forms compute a small example, forward and backward. A kernel that fails or differs is not used,
and a warning says why.

A module `mmcl.models.kernels.NAME` has the plain form and the choice, and needs torch alone;
`mmcl.models.kernels.triton_NAME` has the kernels, and is imported with the first tensor that they take.

`MMCL_KERNELS=plain` in the environment turns all of them off. Like the device it is no setting of an experiment.
"""

import functools
import importlib.util
import logging
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

log = logging.getLogger(__name__)

VARIABLE = "MMCL_KERNELS"

_interpreting = False
_trusted: dict[tuple[str, Hashable], bool] = {}


def usable(x: Tensor) -> bool:
    """Whether Triton kernels can take a tensor: it lies on a GPU of compute capability 8.0 or more, or they are
    interpreted."""
    if torch.compiler.is_exporting() or torch.compiler.is_compiling():
        return False
    if os.environ.get(VARIABLE) == "plain":
        return False
    return x.is_cuda and _supported(x.device) if not _interpreting else x.device.type == "cpu"


def trusted(kernel: str, form: Hashable, error_of: Callable[[], float]) -> bool:
    """Whether a kernel passed its check, which is done once for each form.

    Args:
        kernel: its name.
        form: data type, device and sizes that it is compiled for.
        error_of: runs the kernel and its plain form on a small example, forward and backward, and returns the largest
            error as a part of what rounding permits: the check passes up to 1.
    """
    key = (kernel, form)
    if key not in _trusted:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            return False  # it would end the capture
        why = ""
        try:
            with (
                torch.inference_mode(False),  # where it is on, the example could have no gradient
                torch.enable_grad(),
                torch.autocast("cuda", enabled=False),
                torch.autocast("cpu", enabled=False),
            ):
                error = error_of()
            if not error <= 1:
                why = f"it differs from its plain form by {error:.3g} times what rounding permits"
        except Exception as failure:  # whatever a compiler or driver raises
            why = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
        if why:
            log.warning("the kernel %s is not used for %s: %s", kernel, form, why)
        _trusted[key] = not why
    return _trusted[key]


def apart(found: Tensor, expected: Tensor, units: float = 32) -> float:
    """The largest difference of a result to the exact one, as a part of what rounding permits.

    Args:
        found: in the data type that it was rounded to.
        expected: in float64.
        units: how many units in the last place of the largest number are permitted.
    """
    permitted = units * torch.finfo(found.dtype).eps * expected.abs().max()
    return float((found.double() - expected).abs().max() / permitted)


def product_dtype(x: Tensor) -> torch.dtype:
    """Data type of the product of x with a weight in float32, as autocast says."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.get_autocast_dtype(kind) if known and torch.is_autocast_enabled(kind) else x.dtype


def tensor_cores(dtype: torch.dtype) -> bool:
    """Whether products of a data type may be rounded to TF32 (of float32), as the precision in force says."""
    return dtype is not torch.float32 or torch.backends.cuda.matmul.allow_tf32


@contextmanager
def interpreted() -> Iterator[None]:
    """Run kernels on CPU tensors by Triton's interpreter, in tests.

    `TRITON_INTERPRET=1` must be in the environment before the first kernel is imported.
    """
    global _interpreting
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise RuntimeError("TRITON_INTERPRET=1 is not in the environment")
    _interpreting = True
    try:
        yield
    finally:
        _interpreting = False


@functools.cache
def _supported(device: torch.device) -> bool:
    if importlib.util.find_spec("triton") is None:
        log.warning(
            "Triton is not installed: the networks train with plain torch operations, which is slower"
        )
        return False
    # Triton 3.9 warns where this is not stated; it is what all versions so far do
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    return torch.cuda.get_device_capability(device) >= (8, 0)
