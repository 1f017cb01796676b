"""Every command of README.md and docs/ is run here on made files, planned by Snakemake, run by another test, or named
below with the reason why it is none of these. A new one that is not fails."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from documented import PAGES, PROJECT, Command, commands, mentions, overlooked
from made_world import make_world
from snakemake.cli import parse_args
from typer.main import get_command
from typer.testing import CliRunner

from mmcl.cli import app

BY_TESTS = {"own-data.md": "tests/workflow/test_own_data.py"}
"""Pages whose commands another test runs, all of them."""
NOT_HERE = {
    "README.md": {
        "git clone *": "there is no public address yet",
        "make demo": "five minutes; tests/workflow runs the same rules on smaller data",
        "make test": "this is it",
        "mmcl export *": "ten seconds; tests/evaluation/test_recognise.py exports to ONNX",
        "mmcl fetch yolov5m": "downloads; tests/fetch does it from a server of its own",
    },
    "CONTRIBUTING.md": {
        "make test *": "this is it",
        "make lint": "continuous integration runs it",
        "make docs": "tests/docs/test_site.py builds the site",
    },
    "index.md": {
        "make demo": "five minutes; tests/workflow runs the same rules on smaller data",
        "make test": "this is it",
    },
    "show.md": {
        "mmcl show results/skeletons/filmed.h5 *": "needs poses; tests/report/player/test_gather.py makes some",
    },
    "stores.md": {"h5ls *": "HDF5's own tools need not be installed"},
    "tutorial.md": {
        "git clone *": "there is no public address yet",
        "make demo": "five minutes; tests/workflow runs the same rules on smaller data",
        "source .venv/bin/activate": "there is no such environment here",
        "mmcl export *": "ten seconds; tests/evaluation/test_recognise.py exports to ONNX",
        "mmcl predict mine *": "tests/workflow/test_own_data.py runs it after a training",
    },
    "cluster.md": {
        "snakemake *": "tests/cluster runs the workflow on a Slurm of its own; README's line is planned",
        "squeue *": "there is no Slurm here",
        "scancel *": "there is no Slurm here",
        "mmcl usage*": "needs jobs that have ended; tests/report/test_usage.py makes them",
    },
    "commands.md": {
        "mmcl describe * jq *": "needs jq; without it, it stands elsewhere on the page",
        "mmcl export *": "ten seconds; tests/evaluation/test_recognise.py exports to ONNX",
        "mmcl usage*": "needs jobs that have ended; tests/report/test_usage.py makes them",
    },
    "datasets.md": {"for rgb in *ffmpeg *": "SYSU's recordings are not here"},
    "install.md": {
        "python -m build *": "tests/test_wheel.py builds",
        "python3 -m venv env && *": "tests/test_wheel.py makes an environment",
        "pip install *": "tests/test_wheel.py installs what is built there",
        "cd study": "the next line is planned here",
        "uv *": "downloads gigabytes; was run by hand",
        "conda *": "needs conda, which was not to be had: run by nobody yet",
        "docker *": "needs Docker, which was not to be had; buildah ran the Dockerfile",
        "mkdir study && *": "for Docker",
        "snakedeploy *": "needs a public repository",
    },
    "security.md": {"python benchmarks/robustness.py *": "hours; make bench runs it for two minutes"},
    "vlm-models.md": {
        "mmcl convert-weights minigpt4 *": "gigabytes; tests/vlm/test_minigpt4.py runs it on small weights"
    },
    "workflow.md": {
        "pip install *": "installs; tests/test_wheel.py installs what is built here",
        "tensorboard *": "a server; the tests of the event files read them",
    },
    "weights.md": {
        "mmcl fetch yolov5m": "downloads; tests/fetch does it from a server of its own",
        "mmcl fetch inception_v3 --from *": "needs the published file; tests/fetch has one of its own",
    },
}
"""Page → patterns of its commands → why they are not run here."""
BASH = ("cat", "cp", "head", "python", "tail", "{")
"""Programs that may be run as they stand, in the made folder."""
FOUND_SOMETHING = {"audit": 1, "doctor": 1}
"""Exit status of commands that found what they look for."""
WRITTEN = ("mine.yaml",)
"""Configurations that a page writes itself."""


def reason(command: Command) -> str | None:
    """Why it is not run here."""
    for pattern, why in NOT_HERE.get(command.page, {}).items():
        if fnmatchcase(flat(command), pattern):
            return why
    return BY_TESTS.get(command.page)


def flat(command: Command) -> str:
    """On one line."""
    return " ".join(command.text.split())


def of(program: str) -> list[Command]:
    """Those that are run here, each once."""
    found = [one for one in commands() if one.plain and one.program == program and not reason(one)]
    return list({one.text: one for one in reversed(found)}.values())[::-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("documented") / "world"
    folder.mkdir()
    with contextlib.chdir(folder):
        make_world(folder)
    return folder


@pytest.fixture
def here(world, tmp_path, monkeypatch) -> Path:
    """A copy of its own, in which a command may write."""
    shutil.copytree(world, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def bash(text: str, folder: Path) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": path, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | places,
        capture_output=True,
        text=True,
    )


def expanded(command: Command, folder: Path) -> list[str]:
    """Its words, patterns of files and braces replaced as a shell does."""
    done = bash(f"printf '%s\\0' {command.text}", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def test_every_command_is_of_a_class():
    for command in commands():
        known = ("mmcl", "snakemake", *BASH) if command.plain else BASH
        assert reason(command) or command.program in known, f"{command.page}: {command.text}"
    assert not list(overlooked()), "commands stand in blocks of the language sh"


def test_nothing_is_listed_that_no_page_has():
    texts = [(command.page, flat(command)) for command in commands()]
    for listed in NOT_HERE.keys() & {page.name for page in PAGES}:
        for pattern in NOT_HERE[listed]:
            assert any(page == listed and fnmatchcase(text, pattern) for page, text in texts), (
                listed,
                pattern,
            )
    for page, test in BY_TESTS.items():
        assert page in (PROJECT / test).read_text(), page


@pytest.mark.parametrize("command", of("mmcl"), ids=lambda one: f"{one.page}: {one.text}")
def test_mmcl(command, here):
    words = expanded(command, here)
    patterns = [word for word in words if "*" in word and f"'{word}'" not in command.text]
    assert not patterns, "no such file in the made folder"
    done = CliRunner().invoke(app, words[1:])
    said = f"{done.output[-2000:]}{done.exception!r}"
    assert done.exit_code in (0, FOUND_SOMETHING.get(words[1], 0)), said


def test_others(world, tmp_path):
    for number, command in enumerate(commands()):
        if reason(command) or command.program not in BASH:
            continue
        folder = tmp_path / str(number)
        shutil.copytree(world, folder, symlinks=True)
        for name in WRITTEN:
            if f"> {name}" in command.text:
                (folder / name).unlink()
        done = bash(command.text, folder)
        assert done.returncode == 0, f"{command.page}: {command.text}\n{done.stderr[-2000:]}"


def test_snakemake_plans_what_is_asked_for(here):
    """All targets are targets to its parser, and are planned together, under all configuration files, by profile."""
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    files: dict[str, None] = {}
    for command in of("snakemake"):
        words = expanded(command, here)[1:]
        _, asked = parse_args(words)
        named = [word for word in words if word.startswith("results/")]
        assert sorted(asked.targets) == sorted(named), f"{command.page}: {command.text}: targets are options"
        files |= dict.fromkeys(map(str, asked.configfile or ()))
        profiles = [f"--profile={one}" for one in asked.profile or ()]
        profiles += [f"--workflow-profile={asked.workflow_profile}"] if asked.workflow_profile else []
        together[*profiles, *(f"--forcerun={rule}" for rule in asked.forcerun or ())] += named
    for options, targets in together.items():
        run = [
            "-m",
            "snakemake",
            "--dry-run",
            "--quiet",
            "all",
            *options,
            "--configfile",
            *files,
            "--",
            *targets,
        ]
        paths = os.environ | {"PYTHONPATH": str(PROJECT)}
        done = subprocess.run([sys.executable, *run], cwd=here, env=paths, capture_output=True, text=True)
        assert done.returncode == 0, f"{options} {targets}\n{(done.stdout + done.stderr)[-3000:]}"


def test_commands_within_text_exist():
    """Programs, rules of make, commands and options that sentences mention."""
    known = get_command(app)
    rules = re.findall(r"^([\w./-]+):", (PROJECT / "Makefile").read_text(), re.M)
    for page, text in mentions():
        words = text.split()
        if words[0] == "mmcl" and re.fullmatch("[a-z][a-z-]+", words[1]) and words[1] != "sha256":
            assert words[1] in known.commands, f"{page}: {text}"
            options = {"--help"} | {one for p in known.commands[words[1]].params for one in p.opts}
            assert {word for word in words if word.startswith("--")} <= options, f"{page}: {text}"
        elif words[0] == "make":
            assert words[1] in rules, f"{page}: {text}"
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (PROJECT / words[1]).is_file(), f"{page}: {text}"
        elif words[0] == "snakemake":
            with contextlib.chdir(PROJECT):
                parse_args([word for word in words[1:] if word != "…"])
