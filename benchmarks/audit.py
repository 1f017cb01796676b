"""Time and memory of `mmcl audit` on made recordings, and of comparing all pairs instead.

python benchmarks/audit.py [--clips 20000]
"""

import argparse
import resource
import time

import numpy as np

from mmcl.audit import audit, part
from mmcl.audit.copies import fingerprint
from mmcl.audit.source import Source
from mmcl.datasets.protocols import Clips
from mmcl.layouts import get_layout
from mmcl.report.layout_pictures import rest_pose

LAYOUT = get_layout("ntu25")
POSE = np.concatenate([rest_pose(LAYOUT), np.zeros((len(LAYOUT), 1))], axis=1).astype(np.float32)
COPIED_EVERY = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20000)
    count = parser.parse_args().clips
    source = made_source(count)
    making = time.perf_counter()
    for i in range(200):
        source.read(i)
    making = (time.perf_counter() - making) / 200 * count
    before = time.perf_counter()
    report = audit(source, part(source, "odd_subjects", None), "odd_subjects")
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"audit of {count} clips of 40 to 100 frames, one thread: {seconds:.0f} s, {peak:.0f} MB at most")
    print(f"  of that making the clips: {making:.0f} s")
    found = sum(finding.kind == "identical" for finding in report.findings)
    print(f"  copies made: {(count - 1) // COPIED_EVERY}, found: {found}")
    prints = [fingerprint(source.read(i), LAYOUT) for i in range(400)]
    movements = np.stack([made.movement for made in prints if made])
    before = time.perf_counter()
    for one in movements:
        np.linalg.norm(movements - one, axis=1)
    pairs = (time.perf_counter() - before) / len(movements) ** 2
    print(f"  comparing the movements of all pairs, by extrapolation: {pairs * count**2:.0f} s")


def made_source(count: int) -> Source:
    """Bodies with movements of their own; every hundredth clip is a copy of the one before."""
    numbers = np.arange(count)
    names = [f"c{i:06d}" for i in numbers]
    ones, actions = np.ones(count, int), np.array([f"a{i % 60}" for i in numbers], object)
    clips = Clips(names, actions, numbers % 40, ones, ones, np.full(count, "", object))
    return Source("ntu25", clips, lambda i: made_clip(i - 1 if i and i % COPIED_EVERY == 0 else i))


def made_clip(seed: int) -> np.ndarray:
    """(T, 1, 25, 3)."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(40, 101))
    times = np.linspace(0, 2 * np.pi, frames, dtype=np.float32)
    waves = np.stack([np.sin(times), np.cos(times), np.sin(2 * times), np.cos(2 * times)])
    ways = rng.normal(0, 0.02, (4, POSE.size)).astype(np.float32)
    noise = rng.normal(0, 0.002, (frames, POSE.size)).astype(np.float32)
    return (POSE.ravel() + waves.T @ ways + noise).reshape(frames, 1, *POSE.shape)


if __name__ == "__main__":
    main()
