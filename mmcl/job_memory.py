"""How much of a machine's memory a rule's jobs are given: the resource `mem_mb`, by the size of what they read.

    mem_mb = attempt · (fixed + of_thread · threads + Σ factor · MB of the files)

Snakemake evaluates it before a job starts, when its input is there; a file that is not there yet counts nothing. A job
that is tried again gets more, as the attempt before may have been ended for its memory. docs/workflow.md states where
the numbers come from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

MB = 1 << 20


def job_memory(
    fixed: int, of_thread: float | Callable[[Any], float] = 0, **factors: float | Callable[[Any], float]
) -> Callable[..., int]:
    """A function for `mem_mb` of a rule.

    Args:
        fixed: MB that every job takes: Python, libraries, a network.
        of_thread: MB for each thread or process, or a function of the wildcards that gives them.
        factors: name of an input → MB for each MB of its files, or a function of the wildcards that gives them.
    """

    def needed(wildcards: Any, input: Any, threads: int, attempt: int) -> int:
        def of(factor: float | Callable[[Any], float]) -> float:
            return factor(wildcards) if callable(factor) else factor

        files = sum(of(factor) * _size(input.get(name, ())) for name, factor in factors.items())
        return attempt * round(fixed + of(of_thread) * threads + files / MB)

    return needed


def _size(files: Any) -> int:
    """Bytes of an input: one file or several."""
    paths = [Path(path) for path in ([files] if isinstance(files, str | Path) else files)]
    return sum(path.stat().st_size for path in paths if path.is_file())
