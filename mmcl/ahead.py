"""Pictures made ready by threads, ahead of the network that sees them.

Threads and not processes: reading, decoding and resizing a picture release the interpreter's lock. Nothing has to
travel between processes, and so no shared memory is needed (containers often have 64 MB of it).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
U = TypeVar("U")


def depth(device: "torch.device", threads: int) -> int:
    """Batches that are made ready while the network works on another one.

    None where the network needs the threads itself: on a CPU with one or two.
    """
    return 2 if device.type != "cpu" or threads > 2 else 0


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
