"""Every unit that has a Triton kernel, against its plain form: time and error, forward and backward."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gpu_rows.measurement import Measurement, kernels_used
from gpu_rows.training import REFERENCES
from mmcl.engine.precision import arithmetic, autocast
from mmcl.models import build_backbone, kernels
from mmcl.settings.tables import default_graph

CASES = (("fp32", 1), ("tf32", 1), ("bf16", 1), ("bf16", 5), ("bf16", 8))
"""Precision, and the block of the network: 64 channels and 64 frames, 128 and 32, 256 and 16."""
PEOPLE = 400


def every(measurement: Measurement) -> None:
    """The row: the graph convolution and the temporal convolution of three blocks of each backbone.

    Errors are root mean squares against float64, as a part of the exact values: of the gradient of the input and of all
    parameters' gradients, with the plain forms in the same precision and with the kernels.
    """
    lines: list[str] = []
    times = {"plain": 0.0, "kernels": 0.0}
    measurement.report(unit="blocks/s", precision="all")
    for backbone in REFERENCES:
        for precision, number in CASES if not measurement.tiny else CASES[2:3]:
            if measurement.left < 8:
                measurement.note("no time left for the other units")
                return
            try:
                lines.append(_unit(measurement, backbone, precision, number, times))
            except Exception as error:
                if not isinstance(error, RuntimeError):
                    raise
                lines.append(
                    f"{backbone}, block {number + 1}, {precision}: {type(error).__name__}: {error}"[:300]
                )
            used = kernels_report(measurement, lines)
            if times["kernels"]:
                measurement.report(reference=used / times["plain"], ours=used / times["kernels"])


def kernels_report(measurement: Measurement, lines: list[str]) -> int:
    """Write what is known; returns how many units were measured."""

    measurement.report(lines=lines, kernels=kernels_used())
    return len(lines)


def _unit(
    measurement: Measurement, backbone: str, precision: str, number: int, times: dict[str, float]
) -> str:
    """One block forward and backward; a line about it."""
    tiny, device = measurement.tiny, measurement.device
    width = 0.125 if tiny else 1.0
    torch.manual_seed(0)
    net = build_backbone(backbone, 5, graph=default_graph(backbone), width=width)
    block = net.blocks[number - 1 if backbone == "infogcn" and number > 1 else number]
    for module in block.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    block = block.to(device).train()
    channels = _channels(block)
    people, frames = (4, 12) if tiny else (PEOPLE, {1: 64, 5: 32, 8: 16}[number])
    shape = (channels, people, 25, frames)
    if backbone in ("ctrs", "stgcn", "stgcn16"):
        shape = (channels, 25, people, frames)
    x, slope = torch.randn(shape, device=device), torch.randn(shape, device=device)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    given = x.to(kind)

    exact = _gradients(copy.deepcopy(block).double(), given.double(), slope.to(kind).double(), "fp32")
    found, spent = {}, {}
    for name in ("plain", "kernels"):
        own = copy.deepcopy(block)
        with _form(name), arithmetic(precision):
            found[name] = _gradients(own, given, slope.to(kind), precision)

            def call(own: nn.Module = own) -> None:
                _gradients(own, given, slope.to(kind), precision)

            spent[name] = 1e3 * measurement.timed(call, warm=3, seconds=0.1).median
        times[name] += spent[name] / 1e3
    errors = {
        name: " and ".join(f"{_error(*pair):.1e}" for pair in zip(value, exact, strict=True))
        for name, value in found.items()
    }
    return (
        f"{backbone}, {channels} channels, {frames} frames, {precision}: plain {spent['plain']:.2f} ms, kernels "
        f"{spent['kernels']:.2f} ms, {spent['plain'] / spent['kernels']:.1f}×; errors {errors['plain']}, with kernels "
        f"{errors['kernels']}"
    )


def _error(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


def _channels(block: nn.Module) -> int:
    """Of a block whose input has as many as its output."""
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return norms[-1].num_features


def _gradients(block: nn.Module, x: Tensor, slope: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    """Of the input, and of all parameters in a row."""
    given = x.detach().requires_grad_()
    with autocast(precision, x.device):
        y = block(given)
    y.backward(slope.to(y))
    of_parameters = [parameter.grad for parameter in block.parameters() if parameter.grad is not None]
    for parameter in block.parameters():
        parameter.grad = None
    assert given.grad is not None
    return given.grad, torch.cat([one.flatten() for one in of_parameters])


@contextmanager
def _form(name: str) -> Iterator[None]:
    """Kernels on or off."""
    before = os.environ.get(kernels.VARIABLE)
    if name == "plain":
        os.environ[kernels.VARIABLE] = "plain"
    try:
        yield
    finally:
        os.environ.pop(kernels.VARIABLE, None)
        if before is not None:
            os.environ[kernels.VARIABLE] = before
