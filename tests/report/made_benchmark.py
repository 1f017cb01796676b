"""A made benchmark of many classes, streams and seeds, with scores, histories and awkward names.

`python tests/report/made_benchmark.py FOLDER [CLASSES] [STREAMS] [SEEDS]` writes it to FOLDER/results, to look at its
report: `cd FOLDER; mmcl report many --baseline plain --no-cost`.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from made_scores import benchmark, run_folder

STREAMS = ("joint", "bone", "joint_motion", "bone_motion", "acceleration", "rotation_axis")
AWKWARD = (
    "<b>bold</b> & <script>alert(1)</script>",
    "costs $5 and $\\frac{1}{2}$",
    "put on a coat " * 6,
    "a | b `c`",
    "喝水",
)


def names_of(classes: int) -> list[str]:
    """The names of the classes, awkward ones first."""
    return [*AWKWARD, *(f"action number {number}" for number in range(classes))][:classes]


def make(folder: Path, classes: int = 120, streams: int = 6, seeds: int = 3, clips: int = 10) -> Path:
    """Write benchmarks `many` and `plain` to a folder's results.

    Args:
        folder: the working directory.
        classes, streams, seeds: how many.
        clips: of each class.

    Returns:
        ensemble.json of `many`.
    """
    labels = np.repeat(np.arange(classes), clips)
    form = {
        "names": [f"clip{number:05d}" for number in range(len(labels))],
        "labels": labels,
        "ids": [f"A{number + 1:03d}" for number in range(classes)],
        "class_names": names_of(classes),
    }
    common = np.random.default_rng(9).normal(size=(len(labels), classes))
    for number, (name, strength) in enumerate((("plain", 3.2), ("many", 3.6))):
        random = np.random.default_rng(number)

        def logits(strength: float = strength, random: np.random.Generator = random) -> np.ndarray:
            """Each class is mistaken for the next one more often than for others; streams err together."""
            z = (common + 0.7 * random.normal(size=common.shape)).astype(np.float32)
            z[np.arange(len(labels)), labels] += strength
            z[np.arange(len(labels)), (labels + 1) % classes] += 1.2
            return z

        runs = {seed: {stream: logits() for stream in STREAMS[:streams]} for seed in range(1, seeds + 1)}
        written = benchmark(folder / "results" / name, runs, **form)
        for seed in runs:
            for stream in STREAMS[:streams]:
                history(
                    run_folder(written.parent, stream) / f"seed-{seed}/history.csv", random, name == "many"
                )
    return written


def history(path: Path, random: np.random.Generator, tested: bool) -> None:
    """Twelve epochs; with `tested` the test clips are evaluated after every fourth."""
    rows = ["epoch,lr,loss,cls,accuracy,seconds" + ",test_top1" * tested]
    for epoch in range(1, 13):
        loss, accuracy = 5 / epoch + random.uniform(0, 0.3), 90 - 70 / epoch + random.uniform(0, 5)
        test = ("," + (f"{accuracy - 8:.2f}" if epoch % 4 == 0 else "")) * tested
        rows.append(f"{epoch},0.1,{loss:.4f},{loss:.4f},{accuracy:.2f},2.5{test}")
    path.write_text("\n".join(rows) + "\n")


def zero_shot(folder: Path) -> None:
    """Write the transfer of `many` to a target whose name and reasons hold HTML."""
    models = [
        {
            "member": member,
            "refined": refined,
            "top1_hits": 30,
            "top5_hits": 45,
            "top1": 62.5,
            "top5": 93.75,
            "interval": [48.36, 74.78],
        }
        for refined in (False, True)
        for member in ("ctrgcn-natural-joint", "ensemble")
    ]
    subset = {
        "clips": 48,
        "classes": [{"id": "a1", "source": "A001", "clips": 48}],
        "left_out": [{"class": "a2", "clips": 4, "reason": "not <i>trained</i> on A099"}],
        "models": models,
    }
    result = {
        "benchmark": "many",
        "target": "utd_mhad",
        "source_classes": 120,
        "refinement": {"clips_with_answer": 48},
        "subsets": {"paper": subset, "mapped": {**subset, "clips": 60}},
    }
    path = folder / "results/many/zero-shot/utd_mhad.json"
    path.parent.mkdir()
    path.write_text(json.dumps(result))


if __name__ == "__main__":
    made = make(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    zero_shot(Path(sys.argv[1]))
    print(made)
