"""How messages name values from outside."""

from typing import Any

import pytest
import torch

from mmcl.errors import UserError, memory_reported, shown


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


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has …"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes."
        ),
        MemoryError(),
    ],
)
def test_memory_that_does_not_suffice_is_said_with_what_to_do(error):
    message = r"^memory does not suffice \(.+\); lower train\.batch$"
    with pytest.raises(UserError, match=message), memory_reported("lower train.batch"):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match=r"^shape$"), memory_reported("lower train.batch"):
        raise RuntimeError("shape")
    with pytest.raises(UserError, match=r"^no such file$"), memory_reported("lower train.batch"):
        raise UserError("no such file")
