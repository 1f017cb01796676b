"""The progress bar of a training."""

from typing import Any

from mmcl.engine.processes import Processes


def progress(label: str, steps: int, done: int, epochs: int, processes: Processes) -> Any:
    """A bar over `epochs` of `steps` batches, of which `done` epochs are complete; the first process shows it."""
    from tqdm import tqdm

    disable = None if processes.first else True  # None: shown if stderr is a terminal
    return tqdm(total=epochs * steps, initial=done * steps, desc=label, unit="batch", disable=disable)
