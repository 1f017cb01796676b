"""How messages name values from outside."""

import errno
from typing import Any

import pytest
import torch

from mmcl.errors import OutOfMemory, UserError, memory_reported, shown


def test_a_value_in_a_message_is_bounded_and_escaped():
    assert shown("a b") == "'a b'"
    assert shown("\x1b[31m\n") == "'\\x1b[31m\\n'"
    assert len(shown("x" * 10**7)) <= 80
    assert shown(10**5000) == "<integer of 16610 bits>"


def test_nested_lists_of_exponential_size_cost_nothing():
    laughs: list[Any] = []
    for _ in range(60):
        laughs = [laughs, laughs]
    assert len(shown(laughs)) <= 200


CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.15 GiB "
    "of which 5.25 GiB is free."
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError(CUDA),
            "the GPU's memory does not suffice (20.00 GiB more were asked for, 5.25 GiB of 79.15 GiB are free)",
        ),
        (
            RuntimeError("CUDA error: out of memory"),
            "the GPU's memory does not suffice (CUDA error: out of memory)",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "the GPU's memory does not suffice (CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"
            " `cublasCreate(handle)`)",
        ),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
            "the GPU's memory does not suffice (cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)",
        ),
    ],
)
def test_memory_of_the_gpu_that_does_not_suffice_is_said_with_what_to_do(error, said):
    with pytest.raises(OutOfMemory) as caught, memory_reported("lower train.batch"):
        raise error
    assert str(caught.value) == f"{said}; lower train.batch"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
                " allocate 4294967296 bytes. Error code 12 (Cannot allocate memory)"
            ),
            "4.00 GiB more were asked for",
        ),
        (
            MemoryError(
                "Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"
            ),
            "7.45 GiB more were asked for",
        ),
        (MemoryError(), "MemoryError"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "DataLoader worker (pid 12) is killed by signal: Killed.",
        ),
    ],
)
def test_memory_of_the_host_is_told_apart(error, told):
    said = f"the host's memory does not suffice ({told}); lower train.batch"
    for host, end in (("have the job given more", ", or have the job given more"), ("", "")):
        with pytest.raises(OutOfMemory) as caught, memory_reported("lower train.batch", host):
            raise error
        assert str(caught.value) == said + end


def test_what_followed_from_a_lack_of_memory_is_taken_for_it():
    def capture() -> None:
        try:
            raise torch.OutOfMemoryError(CUDA)
        except RuntimeError:  # what the end of a CUDA graph's capture does
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")  # noqa: B904

    message = r"^the GPU's memory .*20\.00 GiB"
    with pytest.raises(OutOfMemory, match=message), memory_reported("lower train.batch"):
        capture()


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match=r"^shape$"), memory_reported("lower train.batch"):
        raise RuntimeError("shape")
    with pytest.raises(OSError, match="disk"), memory_reported("lower train.batch"):
        raise OSError(errno.ENOSPC, "disk full")
    with pytest.raises(UserError, match=r"^no such file$"), memory_reported("lower train.batch"):
        raise UserError("no such file")
