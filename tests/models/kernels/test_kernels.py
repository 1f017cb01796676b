"""When kernels are used, and what a kernel does that fails its check."""

import logging

import pytest
import torch

from mmcl.models import kernels


@pytest.fixture
def unseen(monkeypatch):
    monkeypatch.setattr(kernels, "_trusted", {})


def test_tensors_on_the_cpu_are_taken_only_by_the_interpreter(monkeypatch):
    assert kernels.usable(torch.zeros(1))
    monkeypatch.setattr(kernels, "_interpreting", False)
    assert not kernels.usable(torch.zeros(1))


def test_the_environment_turns_them_off(monkeypatch):
    monkeypatch.setenv(kernels.VARIABLE, "plain")
    assert not kernels.usable(torch.zeros(1))


def test_a_kernel_is_checked_once_for_each_form(unseen):
    calls = []
    for form in ("a", "a", "b"):
        assert kernels.trusted("k", form, lambda: calls.append(1) or 0.5)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [1.5, float("nan")])
def test_a_kernel_that_differs_is_not_used_and_says_why(unseen, caplog, error):
    with caplog.at_level(logging.WARNING):
        assert not kernels.trusted("k", "a", lambda: error)
    assert "differs from its plain form" in caplog.text


def test_a_kernel_that_fails_is_not_used_and_says_why(unseen, caplog):
    def broken():
        raise RuntimeError("out of\nresources")

    with caplog.at_level(logging.WARNING):
        assert not kernels.trusted("k", "a", broken)
    assert "the kernel k is not used for a: RuntimeError: out of resources" in caplog.text
