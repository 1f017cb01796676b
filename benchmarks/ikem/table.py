"""The tables of docs/results.md, of the study's results in the working directory.

python benchmarks/ikem/table.py utd nw
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.paths import of_seed
from mmcl.selfsup.views import Views
from mmcl.settings.jobs import IkemResult
from mmcl.skeleton.ragged import join

RESULTS = Path("results")
PROBED = {  # row → benchmark, what was probed
    "random weights, 1 modality": ("skeletonclr", "random"),
    "SkeletonCLR, 1 modality": ("skeletonclr", "pretrain"),
    "random weights, 3": ("ikem3", "random"),
    "CrosSCLR, 3": ("crosclr3", "pretrain"),
    "IKEM, 3": ("ikem3", "pretrain"),
    "student of these 3, one early-fused encoder": ("ikem3", "student"),
    "random weights, 6": ("ikem6", "random"),
    "IKEM, 6": ("ikem6", "pretrain"),
    "students of these 6, three encoders": ("ikem6", "student"),
}
LABELS = {  # part of the labels → benchmarks with the stream joint: from scratch, from an encoder
    "10 %": ("scratch_10", "tuned_10"),
    "100 %": ("six", "tuned"),
    "100 %, 20 epochs": ("scratch_long", "tuned_long"),
}


def main() -> None:
    sets = sys.argv[1:]
    print("| encoders |" + "".join(f" {s}: joint, linear | 1-NN | all, linear | 1-NN |" for s in sets))
    print("|---|" + "---|" * 4 * len(sets))
    for what, (benchmark, part) in PROBED.items():
        print(f"| {what} |" + "".join(probed(f"{one}_{benchmark}", part) for one in sets))
    print("| joints themselves |" + "".join(f" | {plain(f'{one}_skeletonclr'):.2f} | | |" for one in sets))

    print("\n| labels, joint stream |" + "".join(f" {s}: from scratch | from IKEM, 6 | gain |" for s in sets))
    print("|---|" + "---|" * 3 * len(sets))
    for part, (scratch, tuned) in LABELS.items():
        print(f"| {part} |" + "".join(pair(f"{one}_{scratch}", f"{one}_{tuned}") for one in sets))

    print("\n| |" + "".join(f" {one} |" for one in sets))
    print("|---|" + "---|" * len(sets))
    print("| six streams, equal weights |" + "".join(f" {figure(fused(f'{one}_six'))} |" for one in sets))
    for member in streams(sets[0]):
        print(f"| {member} alone |" + "".join(f" {figure(stream(f'{one}_six', member))} |" for one in sets))
    distilled = [stream(f"{one}_distilled", "joint") for one in sets]
    print("| joint, distilled from the six |" + "".join(f" {figure(values)} |" for values in distilled))
    logits = f"{sets[0]}_distilled_logits"
    if (RESULTS / logits).exists():
        print(
            f"| the same, by their scores alone | {figure(stream(logits, 'joint'))} |"
            + " |" * (len(sets) - 1)
        )
    gains = [values - stream(f"{one}_six", "joint") for one, values in zip(sets, distilled, strict=True)]
    print("| gain over joint alone, seed by seed |" + "".join(f" {signed(values)} |" for values in gains))


def probed(benchmark: str, part: str) -> str:
    """Four cells: linear probe and nearest neighbour of the joint encoder, and of all together."""
    found = read(RESULTS / benchmark / "ikem/result.json")["probes"][part]
    joint, all_ = found["encoders"].get("joint"), found["together"]
    own = [joint["top1"], joint["knn"]["1"]] if joint else [None, None]
    alone = list(found["encoders"]) == ["joint"]
    together = [None, None] if alone else [all_["trained"]["top1"], all_["knn"]["1"]]
    return "".join(f" {figure(np.array(cell['seeds'])) if cell else '–'} |" for cell in own + together)


def plain(benchmark: str) -> float:
    """Nearest neighbour by the distance of the joints, resampled as for the encoders."""
    settings = IkemResult.model_validate(read(RESULTS / benchmark / "ikem/result.json")["settings"])
    store = SkeletonStore(RESULTS / f"skeletons/{settings.dataset}.h5")
    chosen = select(store, settings)
    clips = join([store.clip(row) for row in range(len(store))], int(store.persons.max()))
    views = Views(clips, settings.selfsup.view, store.layout)
    seen = views.plain(torch.arange(len(store)), ["joint"])["joint"]
    flat, labels = seen.flatten(1), torch.from_numpy(store.labels)
    train, test = (torch.from_numpy(np.flatnonzero(rows)) for rows in (chosen.train, chosen.test))
    nearest = torch.cdist(flat[test], flat[train]).argmin(1)
    return 100 * float((labels[train][nearest] == labels[test]).double().mean())


def pair(scratch: str, tuned: str) -> str:
    """Three cells: both ways, and their difference seed by seed; empty for what was not run."""
    if not (RESULTS / tuned).exists():
        return " | | |"
    before, after = stream(scratch, "joint"), stream(tuned, "joint")
    return f" {figure(before)} | {figure(after)} | {signed(after - before)} |"


def streams(one: str) -> list[str]:
    return [member["stream"] for member in read(RESULTS / f"{one}_six/ensemble.json")["members"]]


def stream(benchmark: str, name: str) -> np.ndarray:
    """Accuracy of one stream, seed by seed."""
    about = read(RESULTS / benchmark / "ensemble.json")
    run = next(member["run"] for member in about["members"] if member["stream"] == name)
    seeds = [seed["seed"] for seed in about["seeds"]]
    return np.array([read(of_seed(run, seed) / "metrics.json")["top1"] for seed in seeds])


def fused(benchmark: str) -> np.ndarray:
    return np.array([seed["top1"] for seed in read(RESULTS / benchmark / "ensemble.json")["seeds"]])


def figure(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def signed(values: np.ndarray) -> str:
    return f"{values.mean():+.2f} ({', '.join(f'{value:+.1f}' for value in values)})"


def read(path: Path) -> dict:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
