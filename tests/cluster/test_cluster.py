"""What a real scheduler does to the workflow: jobs that are cancelled, killed, run out of time and memory, or wait."""

import os
import re
import shutil
import signal

import h5py
import psutil
import pytest
import torch
from conftest import ClusterRun

CROPS = "results/crops/tiny/000-of-001.h5"


def same_weights(one, other):
    ours, theirs = (torch.load(path, weights_only=True)["state"] for path in (one, other))
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def pictures(path):
    with h5py.File(path, "r") as store:
        return [image.tobytes() for image in store["images"][:].ravel()]


def epochs(path):
    """Epochs of a training's last state; 0 before there is one."""
    try:
        return len(torch.load(path, weights_only=True)["history"])
    except (OSError, RuntimeError):
        return 0


def held(run):
    """The process of the long training, suspended after some epochs, and how many are kept."""
    last = run.folder / run.model.replace("model.pt", "last.pt")
    process = run.process("train_stream")
    run.until(lambda: epochs(last) >= 2)
    process.suspend()
    return process, epochs(last)


def finish(local, run, main, logged=""):
    """Let the run of the long training end, and compare its weights with those of the local run."""
    said = run.end(main)
    assert same_weights(run.folder / run.model, local.folder / run.model)
    assert logged in run.log("train_stream")
    # nothing is left of what was kept until the result was recorded
    assert not list(run.folder.glob("results/**/last.*"))
    return said


@pytest.fixture(scope="module")
def out_of_time(local, slurm, tmp_path_factory):
    """A training that hangs after some epochs until its minute is over: begun first, as that takes so long."""
    folder = tmp_path_factory.mktemp("time") / "run"
    shutil.copytree(local.folder, folder, symlinks=True)
    shutil.rmtree(folder / "results/streams")
    run = ClusterRun(folder, slurm)
    main = run.start(run.model, options=("--set-resources", "train_stream:runtime=attempt"))
    _, kept = held(run)
    yield run, main, kept
    run.stop()


def test_the_whole_workflow_gives_the_weights_of_a_local_run(out_of_time, local, slurm, tmp_path):
    (tmp_path / "run").mkdir()
    run = ClusterRun(tmp_path / "run", slurm)
    shutil.copy(local.config, run.config)
    # with two threads drawing would wait until the training beside has run out of time
    run("results/tiny/ensemble.json", seconds=400, options=("--set-threads", "draw_demo=1"))
    models = sorted(path.relative_to(run.folder) for path in run.folder.glob("results/streams/**/model.pt"))
    assert len(models) == 4
    for model in models:
        assert same_weights(run.folder / model, local.folder / model), model
    # what an administrator sees
    jobs = run.jobs()
    assert len(jobs) == 15  # the question and the ensemble are made where Snakemake runs
    assert run.states() == ["COMPLETED"] * 15
    assert re.fullmatch(r"mmcl_[0-9a-f-]{36}", jobs[0]["JobName"])
    given = [job for job in jobs if job.get("TresPerJob") == "gres:gpu:1"]
    assert len(given) == 11  # all but drawing, index, skeletons and montages
    assert {job["Partition"] for job in given} == {"gpu"}
    # what is kept until a result is recorded is gone
    assert not [*run.folder.glob("results/**/*.part"), *run.folder.glob("results/**/last.*")]
    rows = {row["rule"]: row for row in run.mmcl("usage", "--json")["rules"]}
    assert len(rows) == 9
    train = rows["train_stream"]
    assert (train["jobs"], train["minutes_asked"], train["cores_asked"], train["gpus"]) == (4, 720, 1, 1)
    assert train["memory_used_mb"] < train["memory_asked_mb"] < 4100


def test_a_gpu_that_cannot_be_used_stops_the_job_and_the_main_log_says_why(run):
    said = run(run.model, fails=True, options=("--retries", "0"), env={"MMCL_DEVICE": ""})
    assert re.search(r"this job was given a GPU \(CUDA_VISIBLE_DEVICES=\d\), but torch", said)
    assert "set MMCL_DEVICE=cpu to work on the CPU" in said
    assert run.states() == ["FAILED"]


def test_two_gpus_come_from_one_node(run):
    model = f"{run.trained('two')}/model.pt"
    run(model)
    [job] = run.jobs()
    assert (job["TresPerJob"], job["NumNodes"], job["NumCPUs"]) == ("gres:gpu:2", "1", "2")
    assert '"processes": 2' in (run.folder / model).with_name("settings.json").read_text()
    given = rf"device: cpu, Slurm job {job['JobId']} on \S+, CUDA_VISIBLE_DEVICES=0,1"
    assert re.search(given, run.log("train_stream"))


def test_a_cancelled_training_continues(local, run):
    main = run.start(run.model)
    _, kept = held(run)
    run.slurm.run("scancel", run.jobs()[0]["JobId"])
    finish(local, run, main, f"continuing after {kept} of 40 epochs")
    assert run.states() == ["CANCELLED", "COMPLETED"]


def test_cancelled_crops_continue(local, run):
    (run.folder / CROPS).unlink()
    part = run.folder / f"{CROPS}.part"
    main = run.start(CROPS)
    run.until(lambda: (part / "000001.h5").exists())
    run.process("crop_people").suspend()
    kept = len(list(part.glob("[0-9]*.h5")))
    run.slurm.run("scancel", run.jobs()[0]["JobId"])
    run.end(main)
    assert run.states() == ["CANCELLED", "COMPLETED"]
    assert f"continuing after {kept} of" in run.log("crop_people")
    assert pictures(run.folder / CROPS) == pictures(local.folder / CROPS)
    assert not part.exists()


@pytest.mark.parametrize("rule", ["train_stream", "crop_people"])
def test_what_was_finished_is_kept_where_slurm_says_cancelled(local, run, rule):
    target, again = {
        "train_stream": (run.model, "continuing after 40 of 40 epochs"),
        "crop_people": (CROPS, "complete, as it was finished before"),
    }[rule]
    (run.folder / target).unlink(missing_ok=True)
    main = run.start(target)
    # the job's own Snakemake is suspended, so that the work ends and its success is not told
    worker = run.process(rule)
    worker.parent().suspend()
    run.until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert (run.folder / target).exists()
    run.slurm.run("scancel", run.jobs()[0]["JobId"])
    run.end(main)
    assert run.states() == ["CANCELLED", "COMPLETED"]
    assert again in run.log(rule)
    if rule == "train_stream":
        assert same_weights(run.folder / target, local.folder / target)
    else:
        assert pictures(run.folder / target) == pictures(local.folder / target)


def test_a_job_out_of_memory_asks_for_more_and_continues(local, run):
    main = run.start(run.model, options=("--set-resources", "train_stream:mem_mb=1500*attempt"))
    worker, kept = held(run)
    (run.folder / "ballast").touch()  # see hurry/sitecustomize.py
    worker.resume()
    said = finish(local, run, main, "of 40 epochs")
    assert kept >= 2
    # srun was told of the lack of memory, and ended the job
    assert run.states()[0] in ("FAILED", "OUT_OF_MEMORY")
    assert run.states()[1:] == ["COMPLETED"]
    assert [job["MinMemoryNode"] for job in run.jobs()] == ["1500M", "3000M"]
    assert re.search(r"exceeded memory limit|Out Of Memory|oom", said)


def test_a_restarted_controller_loses_no_job(local, run):
    main = run.start(run.model)
    worker, _ = held(run)
    run.slurm.stop_controller()
    # Snakemake has asked in vain
    run.until(lambda: "Falling back to 'sacct' for status queries (MinJobAge=None" in run.said())
    worker.resume()
    run.until(lambda: (run.folder / run.model).exists())
    run.slurm.start_controller()
    finish(local, run, main)
    assert run.states() == ["COMPLETED"]


def test_a_killed_main_process_is_started_again_while_its_job_runs(local, run):
    first = run.start(run.model)
    worker, _ = held(run)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert "--unlock" in run(run.model, fails=True)
    run(options=("--unlock",))
    second = run.start(run.model, options=("--retries", "6"))
    run.until(lambda: "another process is training there" in run.said())
    worker.resume()
    finish(local, run, second, "continuing after 40 of 40 epochs")


def test_a_configuration_that_is_edited_while_jobs_wait_stops_them(local, run):
    blocker = run.block()
    main = run.start(run.model, options=("--retries", "0"))
    run.until(run.jobs)
    planned = run.config.read_text()
    run.edit("epochs: 40", "epochs: 9")
    run.slurm.run("scancel", blocker)
    said = run.end(main, fails=True)
    assert "changed since this run was started: benchmarks; this job would use other settings" in said
    assert run.states() == ["FAILED"]
    run.config.write_text(planned)
    finish(local, run, run.start(run.model))


def test_without_locks_a_run_goes_on(local, run):
    run(run.model, env=run.without_locks())
    assert same_weights(run.folder / run.model, local.folder / run.model)
    logged = run.log("train_stream")
    for folder in ("streams", "skeletons"):
        assert re.search(rf"results/{folder}.*: files cannot be locked on this file system", logged)


def test_job_arrays(run):
    run.edit("    threads: 1\n    options", "    threads: 1\n    shards: 3\n    options")
    run(
        *[f"results/crops/tiny/00{i}-of-003.h5" for i in range(3)],
        options=("--slurm-array-jobs", "crop_people"),
    )
    jobs = run.jobs()
    assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 3
    assert len({job["ArrayJobId"] for job in jobs}) == 1


def test_a_job_out_of_time_asks_for_more_and_continues(out_of_time, local):
    run, main, kept = out_of_time
    finish(local, run, main, f"continuing after {kept} of 40 epochs")
    assert run.states() == ["TIMEOUT", "COMPLETED"]
    assert [job["TimeLimit"] for job in run.jobs()] == ["00:01:00", "00:02:00"]
