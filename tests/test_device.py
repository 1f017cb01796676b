import logging

import pytest
import torch

from mmcl import device
from mmcl.device import pick_device, stated_device
from mmcl.errors import UserError


@pytest.mark.parametrize(
    ("stated", "name"),
    [("", None), (" ", None), ("cpu", "cpu"), ("CPU ", "cpu"), ("cuda", "cuda"), ("gpu", "cuda"), ("0", "cuda:0"),
     ("3", "cuda:3"), ("cuda:3", "cuda:3"), ("Cuda:03", "cuda:03"), ("mps", "mps")],
)  # fmt: skip
def test_names_of_devices(monkeypatch, stated, name):
    monkeypatch.setenv("MMCL_DEVICE", stated)
    assert stated_device() == name


@pytest.mark.parametrize(
    "stated", ["cuda:", "cuda:-1", "cuda:x", "-1", "1.5", "meta", "cuda:128", "cpu:0", "²", "a" * 999]
)
def test_a_name_of_no_device_is_refused_with_those_there_are(monkeypatch, stated):
    monkeypatch.setenv("MMCL_DEVICE", stated)
    with pytest.raises(
        UserError, match=r"^MMCL_DEVICE: .* is no device; it may be cpu, cuda, or cuda:N"
    ) as refused:
        pick_device()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(("built", "why"), [("12.8", "sees no GPU"), (None, "is built without CUDA")])
@pytest.mark.parametrize("stated", ["cuda", "gpu", "0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_said(monkeypatch, stated, built, why):
    monkeypatch.setenv("MMCL_DEVICE", stated)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(
        UserError, match=f"^MMCL_DEVICE={stated}: .*{why}.*unset MMCL_DEVICE, or set it to cpu"
    ):
        pick_device()


def test_a_number_beyond_the_gpus_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    for count, there in ((1, "cuda:0 alone"), (2, "cuda:0 to cuda:1")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        monkeypatch.setenv("MMCL_DEVICE", "3")
        with pytest.raises(UserError, match=f"^MMCL_DEVICE=3: this process sees {there}$"):
            pick_device()
        monkeypatch.setenv("MMCL_DEVICE", "cuda:0")
        assert pick_device() == torch.device("cuda:0")


@pytest.fixture
def given(monkeypatch):
    """The environment of a job that was given no GPU."""
    for variable in ("MMCL_DEVICE", *device.GIVEN):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return monkeypatch.setenv


@pytest.mark.parametrize("variable", device.GIVEN)
def test_a_job_that_was_given_a_gpu_and_cannot_use_it_stops(given, variable):
    given(variable, "0,1")
    message = (
        rf"^this job was given a GPU \({variable}=0,1\), but torch .*; mend that, or set MMCL_DEVICE=cpu"
    )
    with pytest.raises(UserError, match=message):
        pick_device()
    given("MMCL_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("nothing", ["", " ", "-1", "NoDevFiles"])
def test_a_job_that_was_given_none_works_on_the_cpu(given, nothing):
    assert pick_device() == torch.device("cpu")
    given("CUDA_VISIBLE_DEVICES", nothing)
    assert pick_device() == torch.device("cpu")


def test_the_log_names_the_device_once(given, caplog):
    given("SLURM_JOB_ID", "17")
    given("CUDA_VISIBLE_DEVICES", "0,1")
    given("MMCL_DEVICE", "cpu")
    device._log.cache_clear()
    with caplog.at_level(logging.INFO):
        pick_device()
        pick_device()
    [said] = caplog.messages
    assert said.startswith("device: cpu, Slurm job 17 on ")
    assert said.endswith(", CUDA_VISIBLE_DEVICES=0,1")
