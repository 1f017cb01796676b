"""Jobs that are killed at a random point or get no disk space: the same command must then end with the same files."""

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CHAIN = Path(__file__).with_name("chain.py")
SPACE = 4_000_000
"""Bytes that the chain needs at most."""


class Stops(NamedTuple):
    """What came of stopped jobs.

    Attributes:
        tried: how many were stopped.
        same: after which of them the same command gave the same files.
        told: how many said why in a sentence, without a traceback; None where nobody is left to say it.
        problems: the others.
    """

    tried: int
    same: int
    told: int | None
    problems: list[str]


def command(folder: Path) -> list[str]:
    """Runs the chain."""
    return [sys.executable, str(CHAIN), str(folder)]


def marks(folder: Path) -> dict[str, str]:
    """File → sha256. A training's times are its own."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "history.csv")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def undisturbed(folder: Path) -> float:
    """Run the chain and return its seconds."""
    begin = time.monotonic()
    subprocess.run(command(folder), check=True, capture_output=True)
    return time.monotonic() - begin


def kill_at_random(world: Path, moments: list[float], seconds: float, expected: dict[str, str]) -> Stops:
    """Kill the chain and its helpers with SIGKILL, run it again.

    Args:
        world: an empty folder.
        moments: 0 … 1, after which part of `seconds`.
        seconds: of an undisturbed run.
        expected: its files.
    """
    problems = []
    for number, moment in enumerate(moments):
        folder = world / f"killed-{number}"
        process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        again = subprocess.run(command(folder), capture_output=True, text=True)
        found = marks(folder) if folder.exists() else {}
        if again.returncode or found != expected:
            differ = sorted(
                name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
            )
            problems.append(f"after {moment:.2f} of the time: {differ[:5]} {again.stderr[-300:]}")
        shutil.rmtree(folder, ignore_errors=True)
    return Stops(len(moments), len(moments) - len(problems), None, problems)


def fill_disk(world: Path, shares: list[float], expected: dict[str, str]) -> tuple[str, Stops]:
    """Run the chain with too little space, then with enough.

    Args:
        world: an empty folder.
        shares: of the space that the chain needs.
        expected: the files of an undisturbed run.

    Returns:
        What stood for the full disk: a small file system, or a limit on the size of a file where none can be mounted.
    """
    world.mkdir(exist_ok=True)
    mounted = (
        subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", world], capture_output=True
        ).returncode
        == 0
    )
    way: Callable[[Path, float], tuple[subprocess.CompletedProcess[str], bool, dict[str, str]]]
    way = _on_small_disk if mounted else _with_small_files
    problems, differing, told = [], 0, 0
    for number, share in enumerate(shares):
        first, done, found = way(world / f"full-{number}", share)
        told += first.returncode != 0 and "Traceback" not in first.stderr
        if not done or found != expected:
            differ = sorted(
                name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
            )
            problems.append(f"with {share:.2f} of the space: {differ[:5]}")
            differing += 1
        if first.returncode and "Traceback" in first.stderr:
            problems.append(f"with {share:.2f} of the space: {first.stderr.strip().splitlines()[-1][:200]}")
    name = "file system of the chain's size" if mounted else "limit on the size of a file"
    return name, Stops(len(shares), len(shares) - differing, told, problems)


INSIDE = """
import json, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from fuzz.stops import command, marks
folder, size, space = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
first = subprocess.run(command(folder / "run"), capture_output=True, text=True)
subprocess.run(["mount", "-o", f"remount,size={space}", folder], check=True)
again = subprocess.run(command(folder / "run"), capture_output=True, text=True)
print(json.dumps([first.returncode, first.stderr[-2000:], again.returncode, marks(folder / "run")]))
"""


def _on_small_disk(
    folder: Path, share: float
) -> tuple[subprocess.CompletedProcess[str], bool, dict[str, str]]:
    """In a name space of its own, with which the file system ends."""
    import json

    folder.mkdir()
    arguments = [str(folder), str(int(share * SPACE)), str(4 * SPACE), str(CHAIN.parent.parent)]
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", INSIDE, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    code, said, again, found = json.loads(done.stdout.splitlines()[-1])
    return subprocess.CompletedProcess([], code, "", said), again == 0, found


def _with_small_files(
    folder: Path, share: float
) -> tuple[subprocess.CompletedProcess[str], bool, dict[str, str]]:
    limit = int(share * SPACE / 4)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    first = subprocess.run(command(folder), capture_output=True, text=True, preexec_fn=limited)
    again = subprocess.run(command(folder), capture_output=True, text=True, env=dict(os.environ))
    return first, again.returncode == 0, marks(folder)
