"""kill -9 in the middle, the same command again: the work goes on and ends the same."""

import os
import shutil
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import torch

from mmcl.naming import slug

QUESTION = slug("whether the people are holding objects?")


def content(path: Path) -> dict[str, np.ndarray]:
    """Every array of a store, with variable-length rows as lists."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = [np.asarray(x).tolist() for x in item[:].ravel()]

    with h5py.File(path, "r") as h5:
        h5.visititems(add)
    return found


def wait_for(condition, process, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, (
            f"the run ended before it could be killed:\n{process.communicate()[0][-3000:]}"
        )
        assert time.monotonic() < end, "what to wait for did not come"
        time.sleep(0.002)


def kill_job(process, rule):
    """kill -9 the process of one job, not Snakemake itself."""
    for child in psutil.Process(process.pid).children(recursive=True):
        if any(part.endswith(f"{rule}.py") for part in child.cmdline()):
            child.kill()
            return
    raise AssertionError(f"no process of {rule}")


def long(run):
    """A training of enough epochs to be killed in the middle of."""
    return f"{run.trained('tiny_long')}/model.pt"


STAGES = {
    "crop_people": ("results/crops/tiny/000-of-001.h5", "results/crops"),
    "answer_question": (f"results/answers/tiny/demo-blip/{QUESTION}/000-of-001.h5", "results/answers"),
}


@pytest.mark.parametrize("rule", STAGES)
def test_a_killed_feature_job_continues(copy, finished, rule):
    target, folder = STAGES[rule]
    shutil.rmtree(copy.folder / folder)
    part = copy.folder / f"{target}.part"
    process = copy.start(target)
    wait_for(lambda: (part / "000001.h5").exists(), process)
    kill_job(process, rule)
    process.wait()
    assert not (copy.folder / target).exists()
    kept = sorted(part.glob("[0-9]*.h5"))
    assert len(kept) >= 2
    said = copy(target)
    assert f"continuing after {len(kept)} of" in said
    assert content(copy.folder / target) == content(finished.folder / target)


@pytest.fixture(scope="module")
def straight(finished, tmp_path_factory):
    """The model of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    shutil.copytree(finished.folder, folder, symlinks=True)
    run = type(finished)(folder)
    run(long(run))
    return torch.load(folder / long(run), weights_only=True)


def assert_same_weights(path, straight):
    model = torch.load(path, weights_only=True)
    assert model["state"].keys() == straight["state"].keys()
    for name, value in straight["state"].items():
        assert torch.equal(model["state"][name], value), name


def kept_epochs(path):
    try:
        return len(torch.load(path, weights_only=True)["history"])
    except (OSError, RuntimeError):
        return 0


def test_a_killed_training_continues(copy, straight):
    model = long(copy)
    last = copy.folder / model.replace("model.pt", "last.pt")
    process = copy.start(model)
    wait_for(lambda: kept_epochs(last) >= 2, process)
    kill_job(process, "train_stream")
    process.wait()
    assert not (copy.folder / model).exists()
    kept = kept_epochs(last)
    assert 2 <= kept < 30
    said = copy(model)
    assert f"continuing after {kept} of 30 epochs" in said
    assert_same_weights(copy.folder / model, straight)
    history = (copy.folder / model.replace("model.pt", "history.csv")).read_text().splitlines()
    assert [int(line.split(",")[0]) for line in history[1:]] == list(range(1, 31))
    assert not last.exists()


def test_a_killed_snakemake_continues_after_unlock(copy, straight):
    model = long(copy)
    last = copy.folder / model.replace("model.pt", "last.pt")
    process = copy.start(model)
    wait_for(lambda: kept_epochs(last) >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_end(copy.folder)
    assert "locked" in copy(model, fails=True).lower()
    copy("--unlock")
    assert "of 30 epochs" in copy(model)
    assert_same_weights(copy.folder / model, straight)


def wait_for_end(folder):
    """Until no process works in the folder any more."""
    for _ in range(500):
        working = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]
        if not working:
            return
        time.sleep(0.01)
    raise AssertionError("processes outlived the kill")


def test_a_damaged_intermediate_is_made_again_by_the_same_command(copy, finished):
    target, folder = STAGES["answer_question"]
    montages = copy.folder / "results/montages/tiny/000-of-001.h5"
    good = content(montages)
    damaged = bytearray(montages.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    montages.write_bytes(damaged)
    shutil.rmtree(copy.folder / folder)
    said = copy(target, fails=True)
    assert "montages/tiny/000-of-001.h5: damaged: it does not hold what was written" in said
    assert "renamed to 000-of-001.h5.damaged: run the same command again to make it anew" in said
    assert montages.with_name("000-of-001.h5.damaged").read_bytes() == damaged
    copy(target)
    assert content(montages) == good
    assert content(copy.folder / target) == content(finished.folder / target)
    assert copy.jobs(target) == {}
