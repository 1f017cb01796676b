"""The tiny workflow, run once, and copied for every test that changes something."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from made_stores import make_stores
from system_calls import can_trace, traced

from mmcl.config import Config
from mmcl.plan import Plan

PROJECT = Path(__file__).resolve().parent.parent.parent
TINY = Path(__file__).with_name("tiny.yaml")

# Loaded by every Python process of the run: notes each attempt to reach a network address, and refuses it.
WATCH = """
import os, socket
def _noted(name):
    real = getattr(socket.socket, name)
    def call(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            with open(os.environ["MMCL_WATCH"], "a") as file:
                print(name, address, file=file)
            raise OSError(101, "Network is unreachable")
        return real(self, address, *rest)
    setattr(socket.socket, name, call)
for _name in ("connect", "connect_ex", "sendto"):
    _noted(_name)
def _lookup(host, *rest, **named):
    with open(os.environ["MMCL_WATCH"], "a") as file:
        print("getaddrinfo", host, file=file)
    raise socket.gaierror(-2, "Name or service not known")
socket.getaddrinfo = _lookup
"""


class Run:
    """A working directory in which the workflow runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "mine.yaml"

    def command(self, *arguments: str) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")]
        return [
            *snakemake,
            "--directory",
            str(self.folder),
            "--configfile",
            str(self.config),
            "--cores",
            "2",
            *arguments,
        ]

    def start(self, *arguments: str, **how) -> subprocess.Popen:
        """Start the workflow in a process group of its own."""
        text = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(
            self.command(*arguments), start_new_session=True, cwd=self.folder, **{**text, **how}
        )

    def __call__(
        self, *arguments: str, fails: bool = False, prefix: tuple[str, ...] = (), env: dict | None = None
    ) -> str:
        """Run it and return what it printed."""
        done = subprocess.run(
            [*prefix, *self.command(*arguments)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said[-6000:]
        return said

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Rule → number of jobs that a dry run plans."""
        said = self("--dry-run", *arguments)
        if "Nothing to be done" in said:
            return {}
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", said, re.M | re.S)
        assert table, said[-3000:]
        return {rule: int(count) for rule, count in (line.split() for line in table.group(1).splitlines())}

    def trained(self, benchmark: str, member: str = "ctrgcn-natural-joint", seed: int = 1) -> str:
        """The folder in which a benchmark's member is trained, from the working directory."""
        plan = Plan(Config(yaml.safe_load(self.config.read_text())))
        [found] = [one for one in plan.config.benchmark(benchmark).members if one.name == member]
        return plan.folder_of(benchmark, found, seed)

    def edit(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))


class Allowed(Run):
    """A run of some rules alone, in which a store of made skeletons is given as the data set `made`."""

    def __init__(self, folder: Path, config: dict, rules: list[str]):
        super().__init__(folder)
        self.rules = rules
        (folder / "results/skeletons").mkdir(parents=True)
        make_stores(folder)["skeletons"].rename(folder / "results/skeletons/made.h5")
        self.config.write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        return [*super().command(*arguments), "--allowed-rules", *self.rules]


def can_unshare() -> bool:
    """Whether this machine lets us take the network away from a process."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def fresh(folder: Path) -> Run:
    """An empty working directory with the tiny configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    shutil.copy(TINY, run.config)
    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Run:
    """The tiny workflow run to its end, without a network."""
    run = fresh(tmp_path_factory.mktemp("tiny") / "run")
    watch = run.folder.parent / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    run.attempts = watch / "attempts.txt"
    run.attempts.touch()
    paths = [str(watch), *filter(None, [os.environ.get("PYTHONPATH")])]
    # what the Makefile sets is not set here: the code itself has to be quiet
    env = {"PYTHONPATH": os.pathsep.join(paths), "MMCL_WATCH": str(run.attempts)}
    # where Slurm is installed and not set up, its programs look for a configuration in the DNS
    env["SLURM_CONF"] = "/nowhere/slurm.conf"
    prefix = ("unshare", "-rn") if can_unshare() else ()
    run.calls = watch / "calls" if can_trace() else None
    if run.calls:
        prefix += traced(run.calls)
    run.said = run(
        "results/tiny/ensemble.json", "results/tiny/zero-shot/tiny_target.json", prefix=prefix, env=env
    )
    return run


@pytest.fixture
def copy(finished, tmp_path) -> Run:
    """A copy of the finished run, times of files included, to change at will."""
    shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    return Run(tmp_path / "run")
