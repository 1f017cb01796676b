"""What `pip install` gives: the package is built, installed beside nothing else, and used from an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from made_scores import benchmark
from made_stores import make_stores, stream_settings

from mmcl import __version__
from mmcl.cli import app
from mmcl.training.train import train_stream

PROJECT = Path(__file__).resolve().parent.parent

CARRIED = ("Snakefile", "config.yaml", "environment.yml", "profiles", "resources", "workflow")
SOURCES = (
    *("mmcl", *CARRIED),
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"),
)

WHERE = """
import importlib.machinery, json, sys
import mmcl, mmcl.naming
found = [importlib.machinery.PathFinder.find_spec("mmcl", [entry]) for entry in sys.path]
finders = [str(finder) for finder in sys.meta_path if "editable" in str(finder)]
print(json.dumps([mmcl.__file__, str(mmcl.naming.PROJECT), [one.origin for one in found if one], finders]))
"""

RUN = """
import json, os, sys
from typer.testing import CliRunner
from mmcl.cli import app
for folder, *words in json.load(sys.stdin):
    os.chdir(folder)
    done = CliRunner().invoke(app, words)
    unexpected = repr(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else ""
    print(json.dumps([done.exit_code, done.stdout, done.stderr + unexpected]), file=sys.__stdout__)
"""

SMALL = {
    "datasets": {
        "small": {
            "reader": "utd_mhad",
            "skeletons": "results/demo/raw/small/skeletons",
            "videos": "results/demo/raw/small/videos",
            "threads": 1,
            "video": {
                "detector": {
                    "architecture": "yolov5n",
                    "weights": "resources/demo/detector.safetensors",
                    "classes": 1,
                    "image_size": 320,
                },
            },
            "drawn": {
                "form": "utd_mhad",
                "seed": 5,
                "actions": [23, 80],
                "subjects": [21],
                "cameras": [1],
                "trials": 1,
                "frames": [20, 24],
                "size": [360, 270],
            },
        }
    }
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[Path]:
    """A folder with the source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:  # setuptools writes beside the sources
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / name, folder)
    words = ["-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield folder / "dist"
    shutil.rmtree(folder)


class Installed:
    """The package in an environment of its own, of which the test's environment gives what it depends on."""

    def __init__(self, folder: Path, wheel: Path):
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = ["-m", "pip", "--python", str(self.bin / "python"), "install", "--quiet"]
        subprocess.run([sys.executable, *pip, "--no-deps", "--no-index", "--no-compile", wheel], check=True)
        [packages] = folder.glob("lib/python*/site-packages")
        # a .pth file that lies in a folder added by a .pth file is not read: an editable mmcl stays unknown
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        self.packages = packages

    def __call__(self, *words: str, cwd: Path, given: str = "", **settings: str) -> str:
        """Run it without any path to the checkout, and return its standard output."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            [self.bin / words[0], *words[1:]],
            cwd=cwd,
            env=kept | settings,
            input=given,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def snakemake(self, *words: str, cwd: Path) -> str:
        return self("python", "-m", "snakemake", "--cores", "2", *words, cwd=cwd)


@pytest.fixture(scope="module")
def installed(tmp_path_factory, built) -> Installed:
    [wheel] = built.glob("*.whl")
    return Installed(tmp_path_factory.mktemp("installed") / "env", wheel)


@pytest.fixture(scope="module")
def study(tmp_path_factory, installed) -> Path:
    """A working directory that `mmcl init` laid."""
    folder = tmp_path_factory.mktemp("study")
    laid = installed("mmcl", "init", "here", cwd=folder).splitlines()
    assert "here/Snakefile" in laid
    return folder / "here"


def below(*tops: str) -> set[str]:
    """The files of the repository with or below these names."""
    files = (file for top in tops for file in (PROJECT / top, *(PROJECT / top).rglob("*")) if file.is_file())
    return {file.relative_to(PROJECT).as_posix() for file in files if "__pycache__" not in file.parts}


def test_both_distributions_hold_all_that_is_needed(built):
    [wheel] = built.glob("*.whl")
    [sdist] = built.glob("*.tar.gz")
    assert (wheel.name, sdist.name) == (
        f"mmcl-{__version__}-py3-none-any.whl",
        f"mmcl-{__version__}.tar.gz",
    )
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    modules = below("mmcl")
    carried = below(*CARRIED)
    data = {f"mmcl/_project/{name}" for name in carried}
    assert {name for name in names if name.startswith("mmcl/")} == modules | data
    assert {name.split("/")[0] for name in names} == {"mmcl", f"mmcl-{__version__}.dist-info"}
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert modules | carried | {"setup.py", "LICENSE", "NOTICE", "README.md"} <= source
    assert not any("__pycache__" in name or name.startswith("tests/") for name in source)


def test_the_image_is_made_of_the_same_files():
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert sorted(copied) == sorted([*SOURCES, "requirements.lock"])
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)


def test_the_installed_package_is_the_only_one(installed, tmp_path):
    file, project, all_found, finders = json.loads(installed("python", "-c", WHERE, cwd=tmp_path))
    assert Path(file) == installed.packages / "mmcl/__init__.py"
    assert Path(project) == installed.packages / "mmcl/_project"
    assert (all_found, finders) == ([file], [])
    assert installed("mmcl", "--version", cwd=tmp_path) == f"mmcl {__version__}\n"
    asked = {"_MMCL_COMPLETE": "complete_bash", "COMP_WORDS": "mmcl predict --na", "COMP_CWORD": "2"}
    assert installed("mmcl", cwd=tmp_path, **asked) == "--names\n"


def test_every_command_runs_from_an_empty_folder(installed, tmp_path):
    stores, results, empty = tmp_path / "stores", tmp_path / "results", tmp_path / "empty"
    for folder in (stores, results, empty):
        folder.mkdir()
    made = make_stores(stores)
    model = results / "run/model.pt"
    train_stream(
        skeletons=made["skeletons"],
        inputs={"picture": [made["rgb"]], "answer": [made["answers"]]},
        output=model,
        settings=stream_settings(train__epochs=1, model__backbone="stgcn16"),
    )
    eye = [[4.0, 0, 0], [0, 4, 0], [0, 0, 4], [0, 0, 4]]
    pair = [benchmark(results / name, {1: {"joint": eye}}) for name in ("base", "better")]
    skeletons = str(made["skeletons"])
    # command → its arguments, and what it prints
    used = {
        "answers": (["nothing"], 1, "neither a benchmark (demo_xsub"),
        "audit": ([skeletons, "--protocol", "odd_subjects", "--json", "found.json"], 1, "clips"),
        "compare": ([str(pair[0]), str(pair[1])], 0, "better"),
        "convert": ([skeletons, "made.npz", "--protocol", "odd_subjects"], 0, "made.npz"),
        "convert-weights": (["minigpt4", "made", "--help"], 0, "Example"),
        "describe": (["--backbone", "stgcn16", "--classes", "4", "--layout", "utd20"], 0, "stgcn16"),
        "export": ([str(model), "joint.pt2", "--people", "1"], 0, "joint.pt2"),
        "fetch": (["--check"], 0, "yolov5m"),
        "init": (["here"], 0, "here/Snakefile"),
        "inspect": ([skeletons], 0, "mmcl.skeletons"),
        "report": (["nothing"], 1, "no finished benchmark"),
        "show": ([skeletons, "a2_s2", "--out", "strip.png"], 0, "strip.png"),
        "usage": ([], 1, "no finished job"),
        "predict": ([str(model), skeletons, "--names", "a2_s2", "--top", "1"], 0, "a2_s2"),
    }
    commands = list(typer.main.get_command(app).commands)
    assert used.keys() <= set(commands)
    lines = [[str(empty), name, "--help"] for name in commands]
    lines += [[str(empty), name, *words] for name, (words, _, _) in used.items()]
    said = installed("python", "-c", RUN, cwd=empty, given=json.dumps(lines)).splitlines()
    done = [json.loads(line) for line in said]
    for name, (status, out, error) in zip(commands, done[: len(commands)], strict=True):
        assert (status, error) == (0, ""), f"{name}: {error}"
        assert "Usage" in out, name
    for (name, (_, status, text)), (ended, out, error) in zip(
        used.items(), done[len(commands) :], strict=True
    ):
        assert ended == status, f"{name}: {out}{error}"
        assert text in out + error, f"{name}: {out}{error}"
    left = {"made.npz", "found.json", "joint.pt2", "here", "strip.png"}
    assert {path.name for path in empty.iterdir()} == left


def test_the_demo_is_planned(installed, study):
    said = installed.snakemake("--dry-run", cwd=study)
    counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M)}
    assert counts["total"] == sum(counts.values()) / 2
    assert (counts["demo"], counts["train_stream"], counts["ensemble"]) == (1, 12, 1)


def test_a_target_is_made(installed, study):
    """Recordings, index, and crops by a detector whose weights lie in the package."""
    (study / "small.yaml").write_text(yaml.safe_dump(SMALL))
    crops = "results/crops/small/000-of-001.h5"
    installed.snakemake("--configfile", "small.yaml", "--", crops, cwd=study)
    shown = installed("mmcl", "inspect", crops, cwd=study)
    assert re.search(r"complete +yes\n +clips +2, and 0 failed", shown)
