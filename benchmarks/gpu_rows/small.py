"""Two questions of design, measured: do small trainings share the GPU, and which memory order is the faster one."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpu_rows.measurement import Measurement
from gpu_rows.training import RATE, UCLA, one_batch, ours, plain
from mmcl.engine.precision import autocast
from mmcl.models.layers import ChannelNorm, PointConv

MEMBERS = 4
LAYERS = ((64, 64), (128, 32), (256, 16))
"""Channels and frames of CTR-GCN's blocks at NTU's shape."""


def members(measurement: Measurement) -> None:
    """A row: whole steps of four networks, each a CUDA graph, one after another and on streams of their own.

    Without a GPU the steps are neither captured nor run at once.
    """
    shape = UCLA.tried(measurement.tiny)
    device = measurement.device
    measurement.report(unit="clips/s", batch=MEMBERS * shape.batch, precision="bf16")
    x, labels = one_batch(shape, device)
    weights = plain("ctrgcn", shape).state_dict()
    nets = [ours("ctrgcn", shape, weights).to(device) for _ in range(MEMBERS)]
    steps = [_captured(_step(net, x, labels), device) for net in nets]
    streams = [torch.cuda.Stream() if device.type == "cuda" else None for _ in steps]

    def in_turn() -> None:
        for step in steps:
            step()

    def at_once() -> None:
        for step, stream in zip(steps, streams, strict=True):
            if stream is not None:
                stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                step()
        for stream in streams:
            if stream is not None:
                torch.cuda.current_stream().wait_stream(stream)

    measurement.begin_memory()
    measurement.reference(measurement.timed(in_turn, warm=5), MEMBERS * shape.batch)
    measurement.ours(measurement.timed(at_once, warm=5), MEMBERS * shape.batch)


def _step(net: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=4e-4)

    def step() -> None:
        with autocast("bf16", x.device):
            loss = F.cross_entropy(net(x).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _captured(step: Callable[[], None], device: torch.device) -> Callable[[], object]:
    """The step as a CUDA graph.

    Each is recorded on a stream of its own: workspaces of cuBLAS belong to a stream, and graphs that run at once must
    not share them.
    """
    if device.type != "cuda":
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        step()
    return graph.replay


def order(measurement: Measurement) -> None:
    """A row: a 1×1 convolution of as many channels, batch norm and ReLU, forward and backward in bf16, for the three
    sizes of CTR-GCN's blocks; ours is (C, N, V, T), the other is channels-last, (N, T, V, C)."""
    people, joints = (4, 5) if measurement.tiny else (400, 25)
    spent = {"channels-last, Conv2d": 0.0, "channels-last, Linear": 0.0, "channel-major": 0.0}
    lines = []
    for channels, frames in LAYERS:
        frames = 4 if measurement.tiny else frames
        for name, call in _orders(channels, people, joints, frames, measurement.device).items():
            ms = 1e3 * measurement.timed(call, warm=5, seconds=0.3).median
            spent[name] += ms
            lines.append(f"{channels} channels, {frames} frames, {name}: {ms:.3f} ms")
    measurement.report(unit="blocks/s", lines=lines, kernels={})
    last = min(spent["channels-last, Conv2d"], spent["channels-last, Linear"])
    measurement.report(reference=3e3 / last, ours=3e3 / spent["channel-major"])


def _orders(
    channels: int, people: int, joints: int, frames: int, device: torch.device
) -> dict[str, Callable[[], None]]:
    conv = nn.Conv2d(channels, channels, 1).to(device, memory_format=torch.channels_last)
    norm = nn.BatchNorm2d(channels).to(device)
    linear, flat_norm = nn.Linear(channels, channels).to(device), nn.BatchNorm1d(channels).to(device)
    point, own_norm = PointConv(channels, channels).to(device), ChannelNorm(channels).to(device)
    x = torch.randn(people, channels, frames, joints, device=device, dtype=torch.bfloat16)
    image = x.to(memory_format=torch.channels_last).requires_grad_()
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels).requires_grad_()
    major = x.permute(1, 0, 3, 2).contiguous().requires_grad_()

    def both(forward: Callable[[], Tensor], slope: Tensor) -> Callable[[], None]:
        def call() -> None:
            with autocast("bf16", device):
                y = forward()
            y.backward(slope.to(y))

        return call

    return {
        "channels-last, Conv2d": both(lambda: F.relu(norm(conv(image))), image.detach()),
        "channels-last, Linear": both(lambda: F.relu(flat_norm(linear(rows))), rows.detach()),
        "channel-major": both(lambda: F.relu(own_norm(point(major))), major.detach()),
    }
