import logging
import os
import time

import pytest

from mmcl.watch import jobs as module
from mmcl.watch.jobs import Jobs, Left, share_of


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch, tmp_path) -> Clock:
    """The time that a test sets, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    clock = Clock()
    monkeypatch.setattr(module.time, "time", clock.time)
    return clock


def event(name: str, **fields) -> logging.LogRecord:
    return logging.makeLogRecord({"event": name, "msg": "", **fields})


def info(number: int, rule: str, logs=(), local=True, **wildcards) -> logging.LogRecord:
    fields = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": list(logs), "local": local}
    return event("job_info", **fields)


def test_jobs_begin_fail_and_finish(clock):
    jobs = Jobs({"crop_people": 2, "ensemble": 1})
    jobs.handle(info(1, "crop_people", dataset="demo", shard="000-of-002"))
    clock.now += 1
    jobs.handle(
        info(2, "train_stream", dataset="demo", protocol="p", member="ctrgcn", settings="ab", run="seed-1")
    )
    assert [job.words for job in jobs.current()] == [
        "crop_people demo 000-of-002",
        "train_stream ctrgcn seed-1",
    ]
    jobs.handle(event("job_error", jobid=2, rule_name="train_stream", log=["a.log"], output=["model.pt"]))
    jobs.handle(event("job_finished", job_id=1))
    jobs.handle(event("progress", done=1, total=3))
    assert (jobs.done, jobs.total, jobs.current()) == (1, 3, [])
    assert list(jobs.failed.values()) == [("train_stream", ["a.log"], ["model.pt"])]
    jobs.handle(info(2, "train_stream"))  # tried again
    jobs.handle(event("job_finished", job_id=2))
    assert jobs.failed == {}


def test_jobs_that_the_user_ends_have_not_failed(clock):
    jobs = Jobs({"a": 1})
    jobs.handle(info(1, "a"))
    jobs.handle(
        logging.makeLogRecord({"msg": "Terminating processes on user request, this might take some time."})
    )
    jobs.handle(event("job_error", jobid=1, rule_name="a", log=[], output=[]))
    assert (jobs.failed, jobs.current(), jobs.stopped) == ({}, [], True)


def test_what_another_snakemake_logs_is_left_alone(clock):
    jobs = Jobs({"a": 1})
    jobs.handle(event("job_info"))
    jobs.handle(event("job_finished"))
    jobs.handle(logging.makeLogRecord({"msg": "without an event"}))
    assert (jobs.done, jobs.total, jobs.current()) == (0, 1, [])


def test_progress_is_that_of_the_jobs_own_log(clock, tmp_path):
    log = tmp_path / "job.log"
    log.write_text(
        "t DEBUG mmcl.progress: joint: epoch 1 of 10, 5 %, 9 min left\n"
        "t DEBUG mmcl.progress: joint: epoch 3 of 10, 25 %, 4 min left\nt INFO mmcl: more\n"
    )
    jobs = Jobs({"train_stream": 1})
    jobs.handle(info(1, "train_stream", [str(log)], local=False))
    [job] = jobs.current()
    os.utime(log, (900, 900))  # of an earlier run: this one waits for a node
    assert (job.runs, job.progress()) == (False, "")
    os.utime(log, (1000, 1000))
    assert (job.runs, job.progress()) == (True, "epoch 3 of 10, 25 %, 4 min left")
    assert share_of(job.progress()) == 0.25
    assert share_of("12 clips") == 0


def test_the_time_left_follows_from_jobs_of_the_same_rule(clock):
    jobs = Jobs({"crop": 3, "train": 2}, measured=["crop", "train"])
    assert jobs.left({}) is None
    jobs.handle(info(1, "crop"))
    clock.now += 30
    jobs.handle(event("job_finished", job_id=1))
    # two more crops of 30 s; of the trainings nothing is known
    assert jobs.left({}) == Left(60.0, whole=False)
    jobs.handle(info(2, "train"))
    clock.now += 10
    [training] = jobs.current()
    # a tenth of this training took 10 s, of the other nothing is known
    assert jobs.left({id(training): 0.1}) == Left(pytest.approx(150.0), whole=False)


def test_earlier_runs_tell_the_time_too_and_what_is_not_measured_is_short(clock, tmp_path):
    times = tmp_path / "results/times/train/a"
    times.mkdir(parents=True)
    (times / "one.tsv").write_text("s\th:m:s\n100.0\t0:01:40\n")
    (times / "two.tsv").write_text("s\th:m:s\n200.0\t0:03:20\n")
    (times / "bad.tsv").write_text("")
    jobs = Jobs({"train": 2, "ensemble": 1}, measured=["train"])
    assert jobs.left({}) == Left(305.0, whole=True)
    # two at once: half the time, but no less than the one that runs longest
    for number in (1, 2):
        jobs.handle(info(number, "train"))
    clock.now += 50
    assert jobs.left({}) == Left(102.5, whole=True)


def test_time_is_the_clocks():
    assert abs(Jobs({}).begun_at - time.time()) < 5
