"""The tiny workflow on a Slurm of one node. `make test-cluster` runs these tests; others leave them out."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from local_slurm import LocalSlurm, missing

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
PROFILE = PROJECT / "workflow/profiles/slurm"
HURRY = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10")

_spec = importlib.util.spec_from_file_location("workflow_conftest", HERE.parent / "workflow/conftest.py")
workflow = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(workflow)

# one training of 40 epochs on skeletons alone, and one of two processes
LONG = """
  long: {like: tiny_plain, train: {epochs: 40}, ensemble: {members: [{stream: joint}], weights: equal}}
  two: {like: long, gpus: 2, threads: 2, train: {epochs: 2}}
"""


def pytest_collection_modifyitems(config, items):
    """Skip what needs Slurm unless it is asked for."""
    reason = ""
    if "cluster" not in config.getoption("-m"):
        reason = "runs jobs on a Slurm of its own: make test-cluster"
    elif lacks := missing():
        reason = f"no Slurm here ({', '.join(lacks)}): apt-get install slurmctld slurmd slurm-client munge"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def slurm():
    """The cluster."""
    cluster = LocalSlurm()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class ClusterRun(workflow.Run):
    """A working directory whose workflow runs on the cluster.

    Args:
        folder: the directory.
        slurm: the cluster.
    """

    def __init__(self, folder: Path, slurm: LocalSlurm):
        super().__init__(folder)
        self.slurm = slurm
        self.before = len(slurm.jobs())
        # the GPUs are pretended: without this a job that has one stops
        self.env = {**slurm.env, "MMCL_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        self.env["PYTHONPATH"] = os.pathsep.join([str(HERE / "hurry"), str(PROJECT)])

    def command(self, *arguments: str) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")]
        where = ["--directory", str(self.folder), "--workflow-profile", str(PROFILE)]
        return [*snakemake, *where, *HURRY, "--configfile", str(self.config), "--", *arguments]

    def start(
        self, *arguments: str, options: tuple[str, ...] = (), env: dict | None = None
    ) -> subprocess.Popen:
        """Start the workflow in a process group of its own; what it says goes to `said.txt`."""
        command = self.command(*arguments)
        at = command.index("--configfile")
        command[at:at] = options
        with open(self.folder / "said.txt", "ab") as out:
            return subprocess.Popen(
                command,
                start_new_session=True,
                cwd=self.folder,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.env, **(env or {})},
            )

    def end(self, process: subprocess.Popen, fails: bool = False, seconds: int = 150) -> str:
        """Wait for a run, and return what it and earlier ones said."""
        try:
            status = process.wait(seconds)
        finally:
            if process.poll() is None:
                process.kill()
        said = (self.folder / "said.txt").read_text(errors="replace")
        assert (status != 0) == fails, said[-8000:]
        return said

    def __call__(self, *arguments: str, fails: bool = False, seconds: int = 150, **how) -> str:
        return self.end(self.start(*arguments, **how), fails, seconds)

    def jobs(self) -> list[dict[str, str]]:
        """The jobs that were submitted since this run was made."""
        return self.slurm.jobs()[self.before :]

    def log(self, rule: str) -> str:
        """The logs of a rule's jobs: Snakemake begins them anew with each attempt."""
        files = sorted((self.folder / f"results/logs/{rule}").rglob("*.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def process(self, rule: str) -> psutil.Process:
        """The process that does the work of a rule, as soon as it runs."""
        return self.until(lambda: self._process(rule))

    def _process(self, rule: str) -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            cmdline = process.info["cmdline"] or []
            if process.info["cwd"] == str(self.folder) and any(
                re.search(rf"{rule}\.py$", part) for part in cmdline
            ):
                return process
        return None

    def until(self, condition, seconds: float = 60):
        """Wait for a condition and return what it gives."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, (
                f"what to wait for did not come\n{(self.folder / 'said.txt').read_text()[-5000:]}"
            )
            time.sleep(0.02)
        return found

    @property
    def model(self) -> str:
        """The long training's model, from the working directory."""
        return f"{self.trained('long')}/model.pt"


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> workflow.Run:
    """The tiny workflow run to its end on this machine, and the long training."""
    run = workflow.fresh(tmp_path_factory.mktemp("local") / "run")
    run.config.write_text(run.config.read_text() + LONG)
    env = {"MMCL_DEVICE": "cpu", "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    run("results/tiny/ensemble.json", "results/long/ensemble.json", env=env)
    return run


@pytest.fixture
def run(local, slurm, tmp_path) -> ClusterRun:
    """A copy of the local run without its trainings, to run on the cluster."""
    shutil.copytree(local.folder, tmp_path / "run", symlinks=True)
    run = ClusterRun(tmp_path / "run", slurm)
    shutil.rmtree(run.folder / "results/streams")
    shutil.rmtree(run.folder / "results/logs")
    yield run
    slurm.run("scancel", "--full", "--signal=KILL", "--user=root")
    run.until(lambda: not slurm.run("squeue", "-h"), 20)
