"""CUDA graphs of a function without gradient: its kernels are launched together, so that no GPU waits for the CPU."""

import logging
from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.capture import captured

log = logging.getLogger(__name__)

GRAPHS = 16
"""Of one function, at most. Their intermediate results share one piece of memory."""


class Captured(NamedTuple):
    """A CUDA graph, and the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    output: Tensor


class Replayed:
    """A function that is captured as a CUDA graph when it gets inputs of the same shapes a second time.

    The first time it runs as it is: kernels are compiled and checked then, which a capture does not permit. It also
    runs as it is on other devices, under autocast, within another capture, for more than `GRAPHS` different shapes,
    and, with a warning, after a capture that failed.

    Args:
        function: of tensors on one device, returns a tensor. What it does depends on their shapes alone, and the
            other tensors that it reads stay where they are.
    """

    def __init__(self, function: Callable[..., Tensor]):
        self.function = function
        self.forget()

    def forget(self) -> None:
        """Give up all graphs, as the function's own tensors were moved."""
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, Captured] = {}
        self._failed = False

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function of these inputs."""
        if self._failed or not possible(inputs[0].device):
            return self.function(*inputs)
        matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        precision = matrices.allow_tf32, convolutions.allow_tf32
        key = (precision, *((one.shape, one.dtype, one.device) for one in inputs))
        if key not in self._graphs:
            first = key not in self._seen
            self._seen.add(key)
            if first or len(self._graphs) == GRAPHS:
                return self.function(*inputs)
            try:
                self._graphs[key] = self._capture(inputs)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:300]
                log.warning(
                    "inference runs without CUDA graphs, which is slower for small batches: %s", reason
                )
                self._failed = True
                return self.function(*inputs)
        captured = self._graphs[key]
        for static, one in zip(captured.inputs, inputs, strict=True):
            static.copy_(one)
        captured.graph.replay()
        return captured.output.clone()

    def _capture(self, inputs: tuple[Tensor, ...]) -> Captured:
        device = inputs[0].device
        # tensors made in inference mode could not be written outside of it
        with torch.cuda.device(device), torch.inference_mode(False), torch.no_grad():
            pool = next((one.graph.pool() for one in self._graphs.values()), None)
            static = [one.clone() for one in inputs]
            outputs: list[Tensor] = []
            graph = captured(lambda: outputs.append(self.function(*static)), device, pool=pool)
        return Captured(graph, static, outputs[0])


def possible(device: torch.device) -> bool:
    """Whether a function of tensors on a device may be captured now."""
    if device.type != "cuda" or torch.is_autocast_enabled("cuda"):
        return False
    return not torch.cuda.is_current_stream_capturing()
