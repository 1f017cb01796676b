"""Kernels run on the CPU by Triton's interpreter, which is chosen when a kernel is imported: inside of a test."""

import pytest

from mmcl.models import kernels


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    with kernels.interpreted():
        yield
