"""NTU RGB+D 120 from `.skeleton` files to training data: mmcl's store, against the reference's padded arrays.

`python benchmarks/prepare_ntu.py [--clips N] [--padded N] [--processes N] [--plan]`; all of them: `--clips 114480`.
Made recordings of the real ones' form, length and number of people; `--files` of them get N names (hard links), so that
few files take little space on disk. Memory is the largest sum over a run's processes.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmcl.datasets import reader_settings
from mmcl.datasets.ntu import missing_names
from mmcl.datasets.prepare import SkeletonStore, index_clips, prepare_skeletons
from mmcl.naming import PROJECT
from mmcl.settings.base import narrowed
from mmcl.settings.jobs import Indexing, Preparation

ALL = 114_480
SEED = 0
READER = reader_settings("ntu", {"person2": "duplicated", "gaps": "packed"})  # as the reference


def write_recording(path: Path, rng: np.random.Generator) -> None:
    """30 to 300 frames; some with a second person, a body lost for some frames, a short false body."""
    frames = int(np.clip(rng.gamma(6, 14), 30, 300))
    bodies = {"72057594037931101": range(frames)}
    if rng.random() < 0.22:  # 26 of 120 actions
        lost = rng.integers(5, 20) if rng.random() < 0.2 else 0
        bodies["72057594037931102"] = [*range(frames // 2), *range(frames // 2 + lost, frames)]
    if rng.random() < 0.05:
        bodies["72057594037931103"] = range(8)
    tracks = {
        name: (set(when), walk(frames, person, rng)) for person, (name, when) in enumerate(bodies.items())
    }
    lines = [str(frames)]
    for frame in range(frames):
        present = {name: joints[frame] for name, (when, joints) in tracks.items() if frame in when}
        lines.append(str(len(present)))
        for name, joints in present.items():
            lines += [
                f"{name} 0 1 1 1 1 0 0.01119184 -0.256052 2",
                "25",
                *map(JOINT.__mod__, map(tuple, joints)),
            ]
    path.write_text("\r\n".join(lines) + "\r\n")


JOINT = " ".join(["%.7g"] * 11) + " 2"


def walk(frames: int, person: int, rng: np.random.Generator) -> np.ndarray:
    """(F, 25, 11): all numbers of a joint line but the last, of a high and narrow body that moves smoothly."""
    body = rng.uniform(-1, 1, (25, 3)) * (0.2, 0.9, 0.2) + (person, 0, 3)
    joints = body + np.cumsum(rng.normal(0, 0.01, (frames, 25, 3)), axis=0)
    depth = 365 * joints[..., :2] / joints[..., 2:] + (256, 212)
    colour = 1057 * joints[..., :2] / joints[..., 2:] + (960, 540)
    return np.concatenate([joints, depth, colour, rng.uniform(-1, 1, (frames, 25, 4))], axis=-1)


def names() -> list[str]:
    """114,480 names: 158 pairs of setup and performer in NTU-60's part, 160 in the other."""
    first = [(1 + pair % 17, 1 + pair // 17, range(1, 61)) for pair in range(158)]
    second = [(18 + pair % 15, 41 + pair // 15, range(61, 121)) for pair in range(160)]
    return sorted(
        f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}"
        for setup, subject, actions in first + second
        for camera, replication, action in product((1, 2, 3), (1, 2), actions)
    )


def link(chosen: list[str], files: list[Path], folder: Path) -> None:
    for i, name in enumerate(chosen):
        inside = folder / name[:4]
        inside.mkdir(parents=True, exist_ok=True)
        os.link(files[i % len(files)], inside / f"{name}.skeleton")


def spread(count: int) -> list[str]:
    every = names()
    return every[:: len(every) // count][:count]


# ------------------------------------------------------------------------------------- time and memory


def memory_of(root: int) -> int:
    """Resident bytes of a process and those below it."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                sizes[int(entry.name)] = int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
                parents[int(entry.name)] = int(stat[1])
            except OSError:
                continue  # ended meanwhile
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(sizes.get(pid, 0) for pid in tree)


class Cost(NamedTuple):
    """What a run took: seconds on the clock, seconds of CPU, and its largest memory in bytes."""

    seconds: float
    cpu: float
    memory: int


def measured(command: list[Any]) -> Cost:
    """Cost of a command and of all processes it starts."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], memory_of(process.pid))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - start, cpu, peak[0])


# --------------------------------------------------------------------------------------------- the runs


def both_agree(store: Path, padded: Path, chosen: list[str]) -> bool:
    """Whether the store holds what the reference's file holds: the same names, numbers and split."""
    from reference_preparation import TRAINING, VALUES

    ours = SkeletonStore(store)
    row = {name: i for i, name in enumerate(ours.names)}
    with np.load(padded) as file:
        arrays = {side: file[f"x_{side}"] for side in ("train", "test")}
    used = sorted(
        (name for name in chosen if name not in missing_names()), key=lambda name: (name[9:12], name)
    )
    sides = {"train": [], "test": []}
    for name in used:
        sides["train" if int(name[9:12]) in TRAINING else "test"].append(name)
    for side, members in sides.items():
        for reference, name in zip(arrays[side], members, strict=True):
            clip = ours.clip(row[name])
            expected = reference[: len(clip)].reshape(-1, 2, VALUES)
            if reference[len(clip) :].any() or not np.allclose(
                clip.reshape(expected.shape), expected, atol=1e-6
            ):
                return False
    return True


def prepare(skeletons: Path, output: Path, processes: int) -> Cost:
    """Index and prepare a folder of recordings with mmcl."""
    index = output.with_suffix(".tsv")
    start = time.perf_counter()
    index_clips(narrowed(Indexing, READER), index, skeletons)
    seconds = time.perf_counter() - start
    print(f"index of {len(index.read_text().splitlines()) - 1} recordings: {seconds:.2f} s")
    return measured([sys.executable, __file__, "--prepare", skeletons, index, output, processes])


def side_by_side(folder: Path, chosen: list[str], files: list[Path]) -> None:
    """The same recordings in both ways, with one process each; ends the program if they differ."""
    link([name for name in chosen if name not in missing_names()], files, folder / "few")
    count = len(list((folder / "few").rglob("*.skeleton")))
    ours = prepare(folder / "few", folder / "few.h5", 1)
    script = Path(__file__).with_name("reference_preparation.py")
    idle = measured([sys.executable, "-c", "import numpy, pathlib, pickle, time; time.sleep(0.5)"]).memory
    theirs = measured([sys.executable, script, folder / "few", folder])
    full = idle + (theirs.memory - idle) / count * ALL
    print(f"mmcl, 1 process: {summary(ours, count)}")
    print(f"reference's way, 1 process: {summary(theirs, count)}")
    print(f"its memory extrapolated linearly to {ALL} recordings: {full / 1e9:.0f} GB")
    print(f"mmcl takes 1/{theirs.cpu / ours.cpu:.1f} of its CPU time")
    agree = both_agree(folder / "few.h5", folder / "NTU120_CSub.npz", chosen)
    print(f"both hold the same numbers: {'yes' if agree else 'NO'}")
    if not agree:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000, help="recordings that mmcl prepares")
    parser.add_argument(
        "--padded", type=int, default=300, help="recordings prepared in both ways; 0 for none"
    )
    parser.add_argument("--files", type=int, default=100, help="different recordings among them")
    parser.add_argument("--processes", type=int, default=2, help="of mmcl; the reference has one")
    parser.add_argument("--plan", action="store_true", help="time planning NTU-120 up to its ensemble, too")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare_ntu.") as temporary:
        folder = Path(temporary)
        (folder / "made").mkdir()
        rng = np.random.default_rng(SEED)
        files = [folder / "made" / f"{i}.skeleton" for i in range(wanted.files)]
        for file in files:
            write_recording(file, rng)
        print(f"{wanted.files} made recordings, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB")
        link(spread(wanted.clips), files, folder / "clips")
        cost = prepare(folder / "clips", folder / "store.h5", wanted.processes)
        size = (folder / "store.h5").stat().st_size / 1e6
        print(f"mmcl, {wanted.processes} processes: {summary(cost, wanted.clips)}; store {size:.0f} MB")
        if wanted.plan:
            plan(folder)
        if wanted.padded:
            side_by_side(folder, spread(wanted.padded), files)


def summary(cost: Cost, count: int) -> str:
    return (
        f"{count} recordings in {cost.seconds:.1f} s, {count / cost.seconds:.0f} clips/s;"
        f" {1000 * cost.cpu / count:.1f} ms CPU per recording; {cost.memory / 1e9:.2f} GB memory"
    )


def plan(folder: Path) -> None:
    """Time a dry run of everything up to NTU-120's ensemble."""
    overlay = folder / "folders.yaml"
    overlay.write_text(f"datasets: {{ntu120: {{skeletons: {folder}/clips, videos: {folder}/clips}}}}\n")
    program = [Path(sys.executable).with_name("snakemake"), "-n", "--quiet", "-s", PROJECT / "Snakefile"]
    config = ["--configfile", PROJECT / "config.yaml", overlay, "--directory", folder]
    cost = measured([*program, *config, "--", "results/ntu120_xsub/ensemble.json"])
    print(f"planned in {cost.seconds:.1f} s, {cost.cpu:.1f} s CPU")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        skeletons, index, output, processes = sys.argv[2:]
        prepare_skeletons(index, output, narrowed(Preparation, READER), skeletons, processes=int(processes))
    else:
        main()
