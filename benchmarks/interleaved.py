"""Time of several ways to do the same, side by side so that a busy machine slows all of them."""

import time
from collections.abc import Callable
from statistics import median


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each way over as many rounds, in milliseconds; every round runs each once."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():  # warms up
        run()
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            spent[name].append(1000 * (time.process_time() - start))
    return {name: median(times) for name, times in spent.items()}


def show(title: str, ways: dict[str, float], clips: int = 1) -> None:
    """Print milliseconds per clip of each way, and how many times faster than the first it is."""
    print(title)
    first = next(iter(ways.values()))
    for name, spent in ways.items():
        print(f"  {name:<36} {spent / clips:8.1f} ms/clip {first / spent:8.2f}×")
