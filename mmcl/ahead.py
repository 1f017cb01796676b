"""Keeping a GPU at work: pictures made ready by threads, copies that nothing waits for, results fetched late.

Threads and not processes: reading, decoding and resizing a picture release the interpreter's lock. Nothing has to
travel between processes, and so no shared memory is needed (containers often have 64 MB of it).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
U = TypeVar("U")


def depth(gpu: bool, threads: int) -> int:
    """Batches that are made ready while the network works on another one.

    None where the network needs the threads itself: on a CPU with one or two.
    """
    return 2 if gpu or threads > 2 else 0


def ahead(
    batches: Iterable[Sequence[T]], make: Callable[[T], U], threads: int, further: int
) -> Iterator[list[U]]:
    """`make` of the items of batch after batch, by several threads.

    Args:
        batches: the items.
        make: of one item; what it raises is raised when its batch is asked for.
        threads: how many work, at least one.
        further: batches that are made ready beside the one that is asked for.
    """
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="ahead")
    waiting: deque[list[Future[U]]] = deque()
    try:
        for batch in batches:
            waiting.append([pool.submit(make, item) for item in batch])
            if len(waiting) > further:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def behind(begun: Iterable[Callable[[], T]], by: int) -> Iterator[T]:
    """The results of work that is begun one after another, each asked for when `by` further ones are begun."""
    waiting: deque[Callable[[], T]] = deque()
    for finish in begun:
        waiting.append(finish)
        if len(waiting) > by:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def upload(pictures: Sequence[np.ndarray], device: "torch.device") -> "torch.Tensor":
    """Pictures of one shape (H, W, 3) uint8 → (B, H, W, 3) on the device; by a GPU without waiting for it."""
    import torch

    cuda = device.type == "cuda"
    batch = torch.empty(len(pictures), *pictures[0].shape, dtype=torch.uint8, pin_memory=cuda)
    np.stack(pictures, out=batch.numpy())
    return batch.to(device, non_blocking=cuda)


def fetch(parts: "Sequence[torch.Tensor]") -> Callable[[], list[np.ndarray]]:
    """Copy tensors of one device to the host behind the work that is queued there.

    Returns:
        A function that waits for the copies, and no longer, and gives them.
    """
    import torch

    cuda = bool(parts) and parts[0].is_cuda
    # to the host without waiting is into pinned memory
    copies = [part.to("cpu", non_blocking=cuda) for part in parts]
    done = torch.cuda.current_stream(parts[0].device).record_event() if cuda else None

    def finish() -> list[np.ndarray]:
        if done is not None:
            done.synchronize()
        return [copy.numpy() for copy in copies]

    return finish
