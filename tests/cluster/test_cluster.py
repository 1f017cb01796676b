"""What a real scheduler does to the workflow: jobs that are cancelled, killed, run out of time and memory, or wait."""

import os
import re
import shutil
import signal

import psutil
import pytest
import torch
from conftest import ClusterRun

CROPS = "results/crops/tiny/000-of-001.h5"


def same_weights(one, other):
    ours, theirs = (torch.load(path, weights_only=True)["state"] for path in (one, other))
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def epochs(path):
    """Epochs of a training's last state; 0 before there is one."""
    try:
        return len(torch.load(path, weights_only=True)["history"])
    except (OSError, RuntimeError):
        return 0


def held(run, rule="train_stream", least=2):
    """The process of the long training, stopped after some epochs, and how many are kept."""
    last = run.folder / run.model.replace("model.pt", "last.pt")
    process = run.process(rule)
    run.until(lambda: epochs(last) >= least)
    process.suspend()
    return process, epochs(last)


def finish(local, run, process, said_of=""):
    """Let the long training's run end, and compare its weights with those of the local run."""
    said = run.end(process)
    assert same_weights(run.folder / run.model, local.folder / run.model)
    assert not list(run.folder.glob("results/**/last.pt"))  # nothing is kept of what is recorded
    assert said_of in run.log("train_stream")
    return said


@pytest.fixture(scope="module")
def out_of_time(local, slurm, tmp_path_factory):
    """A training that hangs after some epochs until its minute is over; begun first, as it takes that long."""
    folder = tmp_path_factory.mktemp("time") / "run"
    shutil.copytree(local.folder, folder, symlinks=True)
    run = ClusterRun(folder, slurm)
    shutil.rmtree(folder / "results/streams")
    process = run.start(run.model, options=("--set-resources", "train_stream:runtime=attempt"))
    _, kept = held(run)
    return run, process, kept


def test_the_whole_workflow_gives_the_weights_of_a_local_run(out_of_time, local, slurm, tmp_path):
    (tmp_path / "run").mkdir()
    run = ClusterRun(tmp_path / "run", slurm)
    shutil.copy(local.config, run.config)
    said = run("results/tiny/ensemble.json", seconds=400)
    models = sorted(path.relative_to(run.folder) for path in run.folder.glob("results/streams/**/model.pt"))
    assert len(models) == 4
    for model in models:
        assert same_weights(run.folder / model, local.folder / model), model
    # what an administrator sees
    jobs = run.jobs()
    assert len(jobs) == 15  # the question and the ensemble are made where Snakemake runs
    assert len({job["name"] for job in jobs}) == 1
    assert jobs[0]["name"].startswith("mmcl_")
    assert f"SLURM run ID: {jobs[0]['name']}" in said
    # two jobs at most take a pretended GPU each; preparing skeletons takes none
    assert {job["gpus"] for job in jobs} == {"N/A", "gres:gpu:1"}
    assert all(job["state"] == "COMPLETED" and job["nodes"] == "1" for job in jobs)
    # and nothing is left of what jobs kept until they were recorded
    assert not [*run.folder.glob("results/**/*.part"), *run.folder.glob("results/**/last.pt")]
    usage = run.mmcl("usage", "--json")
    assert {"train_stream", "crop_people", "score_stream"} <= {row["rule"] for row in usage}
    [train] = [row for row in usage if row["rule"] == "train_stream"]
    assert (train["jobs"], train["memory_asked_mb"], train["gpus"]) == (4, 4000, 1)
    assert 300 < train["memory_used_mb"] < 2000


def test_one_gpu_without_cuda_stops_the_job_with_the_reason_in_the_main_log(run):
    said = run(run.model, fails=True, options=("--retries", "0"), env={"MMCL_DEVICE": ""})
    assert re.search(r"this job was given a GPU \(CUDA_VISIBLE_DEVICES=\d\), but torch", said)
    assert "set MMCL_DEVICE=cpu to work on the CPU" in said
    [job] = run.jobs()
    assert (job["gpus"], job["state"]) == ("gres:gpu:1", "FAILED")


def test_two_gpus_come_from_one_node(run):
    model = f"{run.trained('two')}/model.pt"
    run(model)
    [job] = run.jobs()
    assert (job["gpus"], job["nodes"], job["cpus"]) == ("gres:gpu:2", "1", "2")
    assert '"processes": 2' in (run.folder / model).with_name("settings.json").read_text()
    assert f"device: cpu, Slurm job {job['id']} on " in run.log("train_stream")


def test_a_cancelled_training_continues(local, run):
    process = run.start(run.model)
    _, kept = held(run)
    run.slurm.run("scancel", run.jobs()[0]["id"])
    finish(local, run, process, f"continuing after {kept} of 40 epochs")
    assert [job["state"] for job in run.jobs()] == ["CANCELLED", "COMPLETED"]


def test_cancelled_crops_continue(local, run):
    (run.folder / CROPS).unlink()
    part = run.folder / f"{CROPS}.part"
    process = run.start(CROPS)
    run.until(lambda: (part / "000001.h5").exists())
    run.process("crop_people").suspend()
    kept = len(list(part.glob("[0-9]*.h5")))
    run.slurm.run("scancel", run.jobs()[0]["id"])
    run.end(process)
    assert f"continuing after {kept} of" in run.log("crop_people")
    # all but the HDF5 library's times
    found = [(run.folder / CROPS).stat().st_size, (local.folder / CROPS).stat().st_size]
    assert found[0] == found[1]
    assert not part.exists()


def test_a_finished_training_that_slurm_calls_cancelled_is_kept(local, run):
    process = run.start(run.model)
    # the job's own Snakemake is stopped, so that the training ends and its success is not told
    worker = run.process("train_stream")
    above = psutil.Process(worker.ppid())
    above.suspend()
    run.until(lambda: (run.folder / run.model).exists())
    run.until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    run.slurm.run("scancel", run.jobs()[0]["id"])
    finish(local, run, process, "continuing after 40 of 40 epochs")


def test_out_of_memory_asks_for_more_and_continues(local, run):
    run.start(run.model, options=("--set-resources", "train_stream:mem_mb=700*attempt"))
    raise NotImplementedError


def test_a_restarted_controller_loses_no_job(local, run):
    process = run.start(run.model)
    worker, _ = held(run)
    run.slurm.stop_controller()
    worker.resume()
    run.until(lambda: (run.folder / run.model).exists())
    run.slurm.start_controller()
    finish(local, run, process)
    assert len(run.jobs()) == 1


def test_a_killed_main_process_is_started_again_while_its_job_runs(local, run):
    first = run.start(run.model)
    worker, _ = held(run)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert "locked" in run(run.model, fails=True).lower()
    run.unlock()
    second = run.start(run.model, options=("--retries", "6"))
    run.until(lambda: "another process is training there" in run.said())
    worker.resume()
    said = finish(local, run, second, "continuing after 40 of 40 epochs")
    assert "started" not in said or len(run.jobs()) >= 2


def test_a_configuration_edited_while_jobs_wait_stops_them(local, run):
    blocker = run.block()
    process = run.start(run.model)
    run.until(lambda: run.jobs()[1:])
    text = run.config.read_text()
    run.edit("epochs: 40", "epochs: 9")
    run.slurm.run("scancel", blocker)
    said = run.end(process, fails=True)
    assert "changed since this run was started: benchmarks; this job would use other settings" in said
    assert not (run.folder / run.model).exists()
    run.config.write_text(text)
    finish(local, run, run.start(run.model))


def test_without_locks_a_run_goes_on(local, run):
    said = run(run.model, env=run.without_locks())
    assert same_weights(run.folder / run.model, local.folder / run.model)
    assert "files cannot be locked on this file system" in run.log("train_stream")
    assert "runs at the same time are not noticed" in said


def test_job_arrays(local, run):
    run.config.write_text(
        run.config.read_text().replace(
            "    threads: 1\n    options", "    shards: 3\n    threads: 1\n    options", 1
        )
    )
    shutil.rmtree(run.folder / "results/crops")
    targets = [f"results/crops/tiny/00{i}-of-003.h5" for i in range(3)]
    run(*targets, options=("--slurm-array-jobs", "crop_people"))
    assert {job["id"].split("_")[0] for job in run.jobs()} == {run.jobs()[0]["id"].split("_")[0]}
    assert len(run.jobs()) == 3


def test_out_of_time_asks_for_more_and_continues(out_of_time, local):
    run, process, kept = out_of_time
    finish(local, run, process, f"continuing after {kept} of 40 epochs")
    states = [(job["state"], job["limit"]) for job in run.jobs() if job["gpus"] == "gres:gpu:1"][:2]
    assert states == [("TIMEOUT", "1:00"), ("COMPLETED", "2:00")]
