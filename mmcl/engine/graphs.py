"""Steps as CUDA graphs: recorded once and replayed, so that a processor need not start each of a thousand kernels.

What is recorded is what the GPU is told to do, with the addresses of all tensors: nothing in it may depend on a value
that the host reads, and later steps must find their inputs at the same addresses. `MMCL_CUDA_GRAPH=off` in the
environment turns recording off. Like the device it is no setting of an experiment.
"""

import os
import warnings
from collections.abc import Callable
from typing import Protocol

import torch

from mmcl.capture import captured
from mmcl.engine.processes import Processes

VARIABLE = "MMCL_CUDA_GRAPH"
WAITED = "called a synchronizing CUDA operation"
"""What torch says of an operation for which the host waits (`torch.cuda.set_sync_debug_mode`)."""


class Graphs(Protocol):
    """How work is recorded."""

    def warm(self, work: Callable[[], None], watched: bool) -> str:
        """Do work as it will be recorded.

        Args:
            work: what to do.
            watched: whether to look for what cannot be recorded.

        Returns:
            Why it cannot be; empty if nothing was found.
        """

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work without doing it. What is returned does it.

        Raises:
            Exception: it cannot be recorded; nothing of it was done.
        """


class CudaGraphs:
    """CUDA graphs, each with memory of its own.

    Warming and recording use one stream, so that the workspaces of cuBLAS, which belong to a stream, are there before
    the recording. No two of these objects share it: their graphs can be replayed at the same time on several streams.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def warm(self, work: Callable[[], None], watched: bool) -> str:
        """See `Graphs`."""
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            found = _waits(work, watched)
        here.wait_stream(self.stream)
        return found

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Graphs`."""
        with torch.cuda.device(self.device):
            return captured(work, self.device, stream=self.stream).replay


def graphs_of(processes: Processes) -> tuple[Graphs | None, str]:
    """How the steps of these processes are recorded. None if they are not, and why; CPUs need no reason."""
    if processes.device.type != "cuda":
        return None, ""
    if os.environ.get(VARIABLE) == "off":
        return None, f"{VARIABLE}=off"
    if processes.world > 1:
        return None, "several processes average their gradients"
    return CudaGraphs(processes.device), ""


def _waits(work: Callable[[], None], watched: bool) -> str:
    """Do work, and say where the host waits for the GPU in it; empty if nowhere, or if it is not watched."""
    if not watched:
        work()
        return ""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    found = ""
    for one in caught:
        if WAITED in str(one.message):
            found = found or f"the host waits for the GPU in {one.filename}:{one.lineno}"
        elif "prototype" not in str(one.message):  # torch's about this mode
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found
