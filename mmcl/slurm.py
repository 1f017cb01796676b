"""What the executor plugin for Slurm lacks: patience with a controller that gives no answer.

snakemake-executor-plugin-slurm 2.8.0 asks for the states of all jobs, five times within a second if need be. If none of
them is answered, as while slurmctld is started anew, it reports no job as running or ended, so that Snakemake
forgets them all and waits for ever.
"""

import functools
from collections.abc import AsyncIterator
from typing import Any


def keep_asking(executor: Any) -> None:
    """Let an executor's jobs count as running when none of its questions was answered.

    Args:
        executor: the plugin's class `Executor`. One that does not count answered questions is left as it is.
    """
    asked = executor.check_active_jobs
    if hasattr(asked, "__wrapped__"):
        return

    @functools.wraps(asked)
    async def check_active_jobs(self: Any, active_jobs: list[Any]) -> AsyncIterator[Any]:
        before = getattr(self, "_status_query_calls", None)
        running = [job async for job in asked(self, active_jobs)]
        unanswered = before is not None and self._status_query_calls == before
        for job in active_jobs if unanswered else running:
            yield job

    executor.check_active_jobs = check_active_jobs
