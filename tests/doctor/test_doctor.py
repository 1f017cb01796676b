"""`mmcl doctor`: what it says of sound and of broken environments."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from datasets.made_recordings import write_ntu

from mmcl.doctor import devices, environment, project, run, storage
from mmcl.doctor.finding import ok

BROKEN = 'raise ImportError("libcudart.so.12: cannot open shared object file")\n'
TRIED = {
    "torch": "2.15.0",
    "cuda": "13.2",
    "hip": "",
    "why": "",
    "devices": [{"name": "cpu"}, {"name": "cuda:0"}],
}
Space = namedtuple("Space", "total used free")


def states(findings) -> dict[str, str]:
    return {one.name: one.state for one in findings}


def program(folder: Path, name: str, text: str) -> None:
    """A shell script in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_it_works_where_half_of_the_environment_is_broken(tmp_path):
    for package in ("torch", "cv2", "h5py"):
        (tmp_path / "fake" / package).mkdir(parents=True)
        (tmp_path / "fake" / package / "__init__.py").write_text(BROKEN)
    path = os.pathsep.join([str(tmp_path / "fake"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mmcl", "doctor", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert not result["ok"]
    failed = {one["name"]: one for one in result["checks"] if one["state"] == "fail"}
    for name in ("torch", "OpenCV", "HDF5"):
        assert "libcudart.so.12: cannot open shared object file" in failed[name]["detail"]
        assert "install" in failed[name]["remedy"]
    assert result["counts"]["fail"] == len(failed) == 3
    assert {"Python", "packages", "disk", "configuration"} <= {one["name"] for one in result["checks"]}


def test_a_check_that_raises_is_a_finding():
    def broken():
        yield ok("first", "there")
        raise ModuleNotFoundError("No module named 'yaml'", name="yaml")

    first, second = run._findings(broken)
    assert (first.name, first.state) == ("first", "ok")
    assert (second.name, second.state, second.remedy) == (
        "broken",
        "fail",
        "pip install --force-reinstall yaml",
    )


@pytest.mark.parametrize(
    ("tried", "driver", "state", "word"),
    [
        ({}, {"driver": "610.1", "cuda": "13.4"}, "ok", "built for CUDA 13.2"),
        ({}, {"driver": "470.2", "cuda": "11.4"}, "fail", "runs CUDA up to 11.4"),
        ({"cuda": ""}, {"driver": "610.1", "cuda": "13.4"}, "fail", "though there is an NVIDIA driver"),
        ({"devices": [], "why": "no device"}, {"driver": "610.1", "cuda": "13.4"}, "fail", "no device"),
        ({"devices": []}, None, "ok", "no NVIDIA driver"),
        ({"cuda": "", "devices": []}, None, "ok", "built for no GPU"),
    ],
)
def test_torch_against_the_driver(tried, driver, state, word):
    *_, found = devices._of_torch(TRIED | tried, driver)
    assert (found.name, found.state) == ("torch", state)
    assert word in found.detail
    assert bool(found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("found", "state", "remedy"),
    [
        ({"free": 70.0, "memory": 80.0}, "ok", ""),
        ({"free": 1.0, "memory": 80.0}, "warn", "MMCL_DEVICE"),
        ({"error": "no kernel image is available"}, "fail", "--torch-backend"),
        ({"error": "out of memory"}, "fail", "nvidia-smi"),
    ],
)
def test_devices(found, state, remedy):
    [line] = devices._of_device({"name": "cuda:0", "what": "H100", "error": "", **found})
    assert line.state == state
    assert remedy in line.remedy


def test_the_drivers_version_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices._driver() is None
    header = "| NVIDIA-SMI 570.1   Driver Version: 570.133.20   CUDA Version: 12.8 |"
    program(tmp_path, "nvidia-smi", f"echo '{header}'")
    assert devices._driver() == {"driver": "570.133.20", "cuda": "12.8"}
    program(
        tmp_path, "nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18"
    )
    assert devices._driver() == {"error": "Failed to initialize NVML: Driver/library version mismatch"}


def test_a_user_without_a_name(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    [found] = [one for one in environment.variables() if one.name == "user"]
    assert (found.state, found.remedy) == ("fail", "export USER=me")
    monkeypatch.setenv("USER", "me")
    assert "user" not in {one.name for one in environment.variables()}


def test_a_system_library_that_opencv_lacks():
    lacks = devices._tried("OpenCV", 'raise ImportError("libxcb.so.1: cannot open shared object file")')
    assert (lacks.state, lacks.remedy) == ("fail", devices.SYSTEM_LIBRARIES)
    other = devices._tried("OpenCV", 'raise ImportError("no cv2")')
    assert other.remedy == "pip install --force-reinstall opencv-python"


def test_a_probe_that_ends_early_or_hangs_is_a_finding(monkeypatch):
    ended = devices._tried("torch", "import os; os._exit(139)")
    assert (ended.state, ended.detail) == ("fail", "ended with status 139")
    monkeypatch.setattr(devices, "PATIENCE", 0.2)
    hangs = devices._tried("torch", "import time; time.sleep(60)")
    assert "gave no answer" in hangs.detail


def test_versions_of_packages(monkeypatch):
    assert environment._problem("numpy>=1") == ""
    assert environment._problem("numpy>=99").endswith("needs >=99")
    assert environment._problem("nothing-of-this-name>=1") == "not installed"
    assert environment._problem('nothing-of-this-name>=1; sys_platform == "plan9"') == ""
    monkeypatch.setattr(
        environment,
        "_declared",
        lambda: (["numpy>=99", "h5py>=3", 'nothing-here; extra == "far"'], "here"),
    )
    wrong, extras = environment.packages()
    assert (wrong.name, wrong.state, wrong.remedy) == ("numpy", "fail", "pip install 'numpy>=99'")
    assert "not: far (nothing-here)" in extras.detail


def test_differences_to_the_lock(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nabsent==1.0\n")
    [found] = environment._differences(lock, ["numpy", "absent", "h5py"])
    assert found.startswith("numpy ")
    assert found.endswith(" (0.1)")
    assert environment._differences(tmp_path / "none", ["numpy"]) == []


def test_names_that_are_no_utf8_and_hidden_gpus(monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = {one.name: one for one in environment.variables()}
    assert (found["locale"].state, found["locale"].remedy) == ("fail", "export PYTHONUTF8=1")
    assert found["variables"].state == "warn"


def test_a_folder_without_workflow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "mmcl init" in {one.name: one for one in environment.snakemake()}["workflow"].remedy
    Path("Snakefile").touch()
    assert states(environment.snakemake())["workflow"] == "warn"
    Path("profiles/default").mkdir(parents=True)
    Path("profiles/default/profile.v9+.yaml").touch()
    assert states(environment.snakemake())["workflow"] == "ok"


@pytest.mark.parametrize(("free", "state"), [(0.5e9, "fail"), (5e9, "warn"), (5e11, "ok")])
def test_space(tmp_path, monkeypatch, free, state):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(1e12, 0, free))
    assert states(storage.results()) == {"disk": state, "flock": "ok", "HDF5": "ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = {one.name: one for one in storage.results()}
    assert found["flock"].state == "warn"
    assert "Function not implemented" in found["flock"].detail


def test_limits_of_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "CONTROL", tmp_path)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("2000000000\n")
    found = {one.name: one for one in storage.machine()}
    assert found["cores"].detail.endswith("snakemake --cores 1")
    assert (found["memory"].state, found["memory"].detail) == ("warn", "2.0 GB")


def test_data_folders_and_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("S001C001P001R001A001", "S001C001P001R001A002"):
        write_ntu(tmp_path / "ntu", name)
    config = {
        "instruction": "what?",
        "datasets": {
            "there": {"reader": "ntu", "skeletons": "ntu"},
            "gone": {"reader": "ntu", "skeletons": "nowhere"},
            "later": {"reader": "sysu", "skeletons": None},
        },
        "benchmarks": {
            "one": {"dataset": "there", "protocol": "ntu60_xsub"},
            "two": {
                "dataset": "later",
                "protocol": "sysu_setting1",
                "vlm": {"name": "other", "weights": "weights/other"},
            },
        },
    }
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    found = list(project.configuration([Path("mine.yaml")]))
    by_name = {one.name: one for one in found}
    assert by_name["data there"].detail == "2 clips in ntu"
    assert (by_name["data gone"].state, by_name["data later"].state) == ("fail", "ok")
    assert "nowhere" in by_name["data gone"].detail
    weights = {one.detail.split()[0]: one for one in found if one.name == "weights"}
    missing = weights["weights/yolov5m.pt"]
    assert (missing.state, missing.remedy) == ("fail", "mmcl fetch yolov5m")
    assert weights["weights/other"].state == "ok"  # no data set that is given needs it
    Path("weights").mkdir()
    Path("weights/yolov5m.pt").write_bytes(b"short")
    [other] = [one for one in project.configuration([Path("mine.yaml")]) if "yolov5m.pt" in one.detail]
    assert (other.state, "5 bytes" in other.detail) == ("fail", True)


def test_a_configuration_that_is_wrong(tmp_path):
    (tmp_path / "mine.yaml").write_text("instruction: what?\nbenchmarks: {a: {datset: x}}")
    [found] = project.configuration([tmp_path / "mine.yaml"])
    assert (found.name, found.state) == ("configuration", "fail")
    assert "benchmarks.a" in found.detail


def test_partitions_of_the_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("sbatch", "squeue", "scancel"):
        program(tmp_path / "bin", name, "true")
    program(tmp_path / "bin", "sinfo", "echo short; echo gpu")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    folder = tmp_path / project.PROFILE
    folder.mkdir(parents=True)
    profile = folder / "profile.v9+.yaml"
    profile.write_text("  slurm_partition: cpu\n  x: {slurm_partition: gpu, gpu: 1}\n# slurm_partition: no\n")
    slurm, partitions = project.cluster()
    assert "partitions gpu, short" in slurm.detail
    assert (partitions.state, "the partitions cpu," in partitions.detail) == ("warn", True)
    program(tmp_path / "bin", "sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    [down] = project.cluster()
    assert (down.state, down.detail) == ("warn", "Unable to contact slurm controller")
