import asyncio

from mmcl.slurm import keep_asking


class Executor:
    """As the plugin's: of jobs 1 and 2 the first has ended; nothing is yielded where no question was answered."""

    def __init__(self, answered):
        self._status_query_calls = 5
        self.answered = answered

    async def check_active_jobs(self, active_jobs):
        if self.answered:
            self._status_query_calls += 1
            for job in active_jobs[1:]:
                yield job


def test_jobs_are_kept_while_the_controller_gives_no_answer():
    async def running(answered):
        return [job async for job in Executor(answered).check_active_jobs([1, 2])]

    assert asyncio.run(running(False)) == []
    keep_asking(Executor)
    once = Executor.check_active_jobs
    keep_asking(Executor)
    assert Executor.check_active_jobs is once
    assert asyncio.run(running(False)) == [1, 2]
    assert asyncio.run(running(True)) == [2]
