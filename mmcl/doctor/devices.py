"""torch, its GPUs and torchvision, tried in a process of their own: a broken driver may end or hang it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcl.doctor.finding import Finding, fail, ok, warn
from mmcl.naming import PACKAGE, PROJECT
from mmcl.versions import installed

PATIENCE = 60.0
"""Seconds. Importing torch takes two, from a cold network file system a minute."""
REINSTALL = "uv pip install --torch-backend auto --reinstall torch torchvision"
"""Takes the builds that fit the driver."""
SYSTEM_LIBRARIES = "apt-get install libgl1 libglib2.0-0, or pip install opencv-python-headless in its place"
"""What OpenCV's wheel expects of the system."""


def devices() -> Iterator[Finding]:
    """What torch sees, against what the driver says, and whether each device computes."""
    driver = _driver()
    tried = _tried("torch", "from mmcl.doctor.devices import probe; probe()")
    if isinstance(tried, Finding):
        yield tried
        return
    yield from _of_torch(tried, driver)
    if "nms" in tried:
        if tried["nms"] == "works":
            yield ok("torchvision", f"{tried['torchvision']}, its compiled operators work")
        else:
            yield fail("torchvision", f"{tried['torchvision']}: {tried['nms']}", REINSTALL)
    for found in tried["devices"]:
        yield from _of_device(found)
    if tried["refused"]:
        yield fail("MMCL_DEVICE", tried["refused"], "unset MMCL_DEVICE")
    if any(found["name"] != "cpu" for found in tried["devices"]):
        yield from _compiler(tried)


def video() -> Iterator[Finding]:
    """Whether OpenCV can write and read a video."""
    tried = _tried("OpenCV", "from mmcl.doctor.devices import probe_video; probe_video()")
    if isinstance(tried, Finding):
        yield tried
    elif tried["frames"] == tried["written"]:
        yield ok("OpenCV", f"{tried['version']}, writes and reads videos")
    else:
        yield fail(
            "OpenCV",
            f"{tried['version']}: of {tried['written']} frames written {tried['frames']} were read",
            "pip install --force-reinstall opencv-python, which brings its own FFmpeg",
        )


def _tried(name: str, code: str) -> dict[str, Any] | Finding:
    """What a probe prints, or the finding that it failed."""
    remedy = REINSTALL if name == "torch" else "pip install --force-reinstall opencv-python"
    # a checkout may be imported from the working directory
    checkout = [str(PROJECT)] if PACKAGE.parent == PROJECT else []
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *checkout])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return fail(
            name, f"gave no answer within {PATIENCE:.0f} s", "look whether nvidia-smi answers; restart"
        )
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except (ValueError, LookupError):
        said = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        lacks = name == "OpenCV" and "cannot open shared object file" in said[-1]
        return fail(name, said[-1], SYSTEM_LIBRARIES if lacks else remedy)


def _driver() -> dict[str, str] | None:
    """Version of the NVIDIA driver and the newest CUDA that it runs; None without nvidia-smi, `error` if it fails."""
    program = shutil.which("nvidia-smi")
    if not program:
        return None
    try:
        done = subprocess.run([program], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    driver = re.search(r"Driver Version:\s*(\S+)", done.stdout)
    cuda = re.search(r"CUDA Version:\s*(\S+)", done.stdout)
    if done.returncode or not driver:
        return {
            "error": (done.stdout + done.stderr).strip().splitlines()[0] if done.stdout + done.stderr else "?"
        }
    return {"driver": driver[1], "cuda": cuda[1] if cuda else ""}


def _of_torch(tried: dict[str, Any], driver: dict[str, str] | None) -> Iterator[Finding]:
    build = f"CUDA {tried['cuda']}" if tried["cuda"] else "ROCm" if tried["hip"] else "no GPU"
    said = f"{tried['torch']}, built for {build}"
    seen = [found for found in tried["devices"] if found["name"] != "cpu"]
    if driver is None:
        if tried["cuda"] and not seen:
            yield ok("torch", f"{said}; there is no NVIDIA driver here, so it computes on the CPU")
        else:
            yield ok("torch", said)
        return
    if "error" in driver:
        yield fail(
            "GPU driver", f"nvidia-smi: {driver['error']}", "reload or install the NVIDIA driver, or restart"
        )
        return
    yield ok("GPU driver", f"{driver['driver']}, runs CUDA up to {driver['cuda'] or 'an unknown version'}")
    if not tried["cuda"]:
        yield fail("torch", f"{said}, though there is an NVIDIA driver", REINSTALL)
    elif driver["cuda"] and _major(tried["cuda"]) > _major(driver["cuda"]):
        yield fail(
            "torch",
            f"{said}, but the driver runs CUDA up to {driver['cuda']}",
            f"a newer driver, or an older build: {REINSTALL}",
        )
    elif not seen:
        yield fail(
            "torch",
            f"{said}, sees no GPU: {tried['why'] or 'no reason given'}",
            "unset CUDA_VISIBLE_DEVICES; restart",
        )
    else:
        yield ok("torch", said)


def _major(version: str) -> int:
    return int(version.split(".")[0])


def _of_device(found: dict[str, Any]) -> Iterator[Finding]:
    if found["error"]:
        remedy = REINSTALL if "no kernel image" in found["error"] else "nvidia-smi shows who uses it; restart"
        yield fail(found["name"], f"{found['what']}: {found['error']}", remedy)
        return
    said = f"{found['what']}, computes right"
    if found.get("free") is None:
        yield ok(found["name"], said)
    elif found["free"] < 4:
        yield warn(
            found["name"],
            f"{said}; {found['free']:.1f} of {found['memory']:.0f} GB are free",
            "another program uses it (nvidia-smi); wait, or choose another by MMCL_DEVICE=cuda:N",
        )
    else:
        yield ok(found["name"], f"{said}; {found['free']:.1f} of {found['memory']:.0f} GB free")


def _compiler(tried: dict[str, Any]) -> Iterator[Finding]:
    """What Triton needs for the package's own kernels."""
    if not tried["triton"]:
        yield warn(
            "Triton", "not there: training on the GPU is slower without its kernels", "pip install triton"
        )
    elif not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        yield warn("Triton", f"{tried['triton']}, but there is no C compiler, which it needs", "install gcc")
    else:
        yield ok("Triton", f"{tried['triton']}, with a C compiler")


# ------------------------------------------------------------------------------- in a process of their own


def probe() -> None:
    """Print as JSON what torch and torchvision can do here."""
    import torch

    why = ""
    try:
        available = torch.cuda.is_available()
        if not available and torch.version.cuda:
            torch.cuda.init()
    except Exception as error:
        available, why = False, str(error).splitlines()[0]
    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if available else 0))]
    if torch.backends.mps.is_available():
        names.append("mps")
    said: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
        "why": why,
        "triton": installed("triton"),
        "refused": _refused(),
        "devices": [_computed(name) for name in names],
        **_nms(),
    }
    print(json.dumps(said))


def _refused() -> str:
    """Why MMCL_DEVICE cannot be used; "" if it can."""
    from mmcl.device import pick_device
    from mmcl.errors import UserError

    try:
        pick_device()
    except UserError as error:
        return str(error)
    return ""


def _computed(name: str) -> dict[str, Any]:
    """A device, and whether a convolution and a product give what the CPU gives."""
    import torch

    found: dict[str, Any] = {"name": name, "what": f"{torch.get_num_threads()} threads", "error": ""}
    try:
        if name.startswith("cuda"):
            about = torch.cuda.get_device_properties(name)
            found["what"] = f"{about.name}, compute capability {about.major}.{about.minor}"
            free, memory = torch.cuda.mem_get_info(name)
            found |= {"free": free / 1e9, "memory": memory / 1e9}
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(2, 3, 32, 32, generator=generator)
        w = torch.randn(4, 3, 3, 3, generator=generator)

        def result(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            y = torch.nn.functional.conv2d(x, w).flatten(1)
            return y @ y.mT

        expected = result(x.double(), w.double())
        got = result(x.to(name), w.to(name)).cpu().double()
        worst = float((got - expected).abs().max() / expected.abs().max())
        if not worst < 1e-2:  # TF32 has three digits
            found["error"] = f"a small computation is wrong by {worst:.1e}"
    except Exception as error:
        found["error"] = (str(error) or type(error).__name__).splitlines()[0]
    return found


def _nms() -> dict[str, str]:
    """torchvision's compiled operators are missing where its build does not fit that of torch."""
    try:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
        works = kept == [0, 2]
        return {"torchvision": torchvision.__version__, "nms": "works" if works else f"nms keeps {kept}"}
    except Exception as error:
        first = (str(error) or type(error).__name__).strip().splitlines()[0]
        return {"torchvision": installed("torchvision") or "not installed", "nms": first}


def probe_video() -> None:
    """Print as JSON how many frames of a small video OpenCV reads back."""
    import tempfile

    import cv2
    import numpy as np

    written = 5
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "tried.avi"))
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
        for number in range(written):
            writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
        writer.release()
        video, frames = cv2.VideoCapture(path), 0
        while video.read()[0]:
            frames += 1
    print(json.dumps({"version": cv2.__version__, "written": written, "frames": frames}))
