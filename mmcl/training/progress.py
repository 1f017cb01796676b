"""A bar that shows how far a training is."""

from typing import Any

from mmcl.training.distributed import Processes


def progress(what: str, steps: int, done: int, epochs: int, processes: Processes) -> Any:
    """A bar over `epochs` of `steps` batches, `done` epochs of which lie behind; shown by the first process."""
    from tqdm import tqdm

    shown = None if processes.first else True  # None: where there is a terminal
    return tqdm(total=epochs * steps, initial=done * steps, desc=what, unit="batch", disable=shown)
