"""The tiny workflow on a Slurm of one node. `make test-cluster` runs these tests; others leave them out."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
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
  two: {like: long, gpus: 2, threads: 2, train: {epochs: 3}}
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
    # so that a `kill`, too, takes the cluster down
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
        self.mains: list[subprocess.Popen] = []
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
        environment = {**os.environ, **self.env, **(env or {})}
        with open(self.folder / "said.txt", "ab") as out:
            output = {"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL}
            main = subprocess.Popen(
                command, start_new_session=True, cwd=self.folder, env=environment, **output
            )
        self.mains.append(main)
        return main

    def end(self, process: subprocess.Popen, fails: bool = False, seconds: int = 150) -> str:
        """Wait for a run, and return what it and earlier ones said."""
        try:
            status = process.wait(seconds)
        finally:
            if process.poll() is None:
                process.kill()
        assert (status != 0) == fails, self.said()[-8000:]
        return self.said()

    def __call__(self, *arguments: str, fails: bool = False, seconds: int = 150, **how) -> str:
        return self.end(self.start(*arguments, **how), fails, seconds)

    def said(self) -> str:
        """What the main processes of this folder have said so far."""
        return (self.folder / "said.txt").read_text(errors="replace")

    def jobs(self) -> list[dict[str, str]]:
        """The jobs of this folder, the first first; Snakemake gives those of a run one name."""
        names = re.findall(r"SLURM run ID: (\S+)", self.said())
        return [job for job in self.slurm.jobs() if job["JobName"] in names]

    def states(self) -> list[str]:
        """Their states."""
        return [job["JobState"] for job in self.jobs()]

    def block(self) -> str:
        """A job that takes all cores, so that others wait; returns its number."""
        sbatch = ("sbatch", "--parsable", "--output=/dev/null", "--mem=50", "--cpus-per-task=2")
        return self.slurm.run(*sbatch, "--wrap", "sleep 300").strip()

    def mmcl(self, *arguments: str):
        """The JSON that a command of mmcl prints."""
        done = subprocess.run(
            [sys.executable, "-m", "mmcl", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def without_locks(self) -> dict[str, str]:
        """The environment of a file system whose flock says ENOLCK."""
        source, library = self.folder / "locks.c", self.folder / "locks.so"
        source.write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n")
        compiler = shutil.which("cc") or pytest.skip("no C compiler for a flock that fails")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        return {"LD_PRELOAD": str(library)}

    def stop(self) -> None:
        """End what still runs of this folder."""
        for main in self.mains:
            if main.poll() is None:
                main.kill()
                main.wait()
        if self.mains:
            left = [job["JobId"] for job in self.jobs() if job["JobState"] in ("PENDING", "RUNNING")]
            for number in left:
                self.slurm.run("scancel", "--full", "--signal=KILL", number)
                self.slurm.run("scancel", number)
        # Slurm follows processes by their parents here, and loses one that was suspended
        for process in psutil.process_iter(["cwd"]):
            if process.info["cwd"] == str(self.folder):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

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
            assert time.monotonic() < end, f"what to wait for did not come\n{self.said()[-5000:]}"
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
    run.stop()
