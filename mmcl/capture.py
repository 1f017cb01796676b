"""Capturing work as a CUDA graph, and bringing torch back to order where that fails."""

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def captured(
    work: Callable[[], object],
    device: "torch.device",
    *,
    pool: Any = None,
    stream: "torch.cuda.Stream | None" = None,
) -> "torch.cuda.CUDAGraph":
    """A CUDA graph of work, which is not done.

    Args:
        work: what to capture.
        device: the GPU, the current one.
        pool: of the graph's memory; None for one of its own.
        stream: that the work is captured on; None for torch's.

    Raises:
        Exception: it cannot be captured; nothing of it was done.
    """
    import torch

    graph, pool = torch.cuda.CUDAGraph(), pool or torch.cuda.graph_pool_handle()
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    spare = generator.clone_state()
    failure, ended = None, False
    gc.collect()  # cycles that hold memory of the GPU
    try:
        # the outer context brings the stream back: that of the graph does not where ending the capture fails
        with (
            torch.cuda.stream(torch.cuda.current_stream(device)),
            # other threads, such as one that pins memory for pictures, go on
            torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"),
        ):
            try:
                work()
            except Exception as error:
                failure = error
        ended = True
    except Exception as error:
        failure = failure or error
    if failure is None:
        return graph
    if not ended:
        # ending the capture failed before torch told its allocator (CUDAGraph::capture_end)
        index = torch.cuda.current_device()
        with suppress(Exception):
            torch._C._cuda_endAllocateToPool(index, pool)
        with suppress(Exception):
            torch._C._cuda_releasePool(index, pool)
    # the generator's own state may take itself for one that is being captured
    generator.graphsafe_set_state(spare)
    torch.cuda.synchronize(device)
    raise failure
