"""Training on a GPU: bf16 and compiled against fp32 eager, and how long the GPU waits for its batches.

Full-width CTR-GCN, 120 classes, batches of 200 made clips from the loader that training uses. Without a GPU it says
so and measures nothing (`--cpu --batch 2 --steps 1` tries the script itself).
`python benchmarks/training_gpu.py`
"""

import argparse
import itertools
import time
from collections.abc import Iterable

import numpy as np
import torch

from mmcl.device import pick_device
from mmcl.models.colearn import build_model
from mmcl.skeleton.ragged import join
from mmcl.training.loader import Batch, Loader, TrainingData
from mmcl.training.train import _compile, _epoch

CLASSES, LAYOUT, PERSONS, CLIPS = 120, "ntu25", 2, 4000
MODEL = {
    "backbone": "ctrgcn",
    "graph": "natural",
    "width": 1.0,
    "fam": {"enabled": False, "hidden": 256, "temperature": 0.4, "loss": "grace"},
    "frm": {
        "enabled": False,
        "input": "hidden",
        "n": 2,
        "hidden": 64,
        "matrices": "diagonal",
        "detach": False,
    },
}
TRAIN = {
    "repeat": 1,
    "crop": [0.5, 1.0],
    "min_crop": 64,
    "rotation": 0.3,
    "window": 64,
    "same_augmentation": False,
}
WAYS = {"fp32 eager": ("fp32", False), "bf16 eager": ("bf16", False), "bf16 compiled": ("bf16", True)}


def made_clips(count: int) -> TrainingData:
    """Clips of NTU's lengths."""
    random = np.random.default_rng(0)
    clips = [
        random.normal(0, 0.5, (n, PERSONS, 25, 3)).astype(np.float32) for n in random.integers(30, 301, count)
    ]
    labels = torch.from_numpy(random.integers(0, CLASSES, count)).to(pick_device())
    return TrainingData([f"clip{i}" for i in range(count)], join(clips, PERSONS), labels, LAYOUT)


def batches(loader: Loader) -> Iterable[Batch]:
    """Epoch after epoch."""
    return itertools.chain.from_iterable(loader.epoch(epoch) for epoch in itertools.count())


def seconds(model: torch.nn.Module, source: Iterable[Batch], steps: int, precision: str) -> float:
    """Time of so many training steps, after a few that warm up."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    source = iter(source)
    _epoch(model.losses, itertools.islice(source, 5), optimizer, precision, int)
    synchronise()
    start = time.perf_counter()
    _epoch(model.losses, itertools.islice(source, steps), optimizer, precision, int)
    synchronise()
    return time.perf_counter() - start


def synchronise() -> None:
    """Wait until the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cpu", action="store_true", help="try the script without a GPU")
    options = parser.parse_args()
    device = pick_device()
    if device.type != "cuda" and not options.cpu:
        print("training_gpu: no GPU here, nothing measured")
        return
    loader = Loader(
        made_clips(max(CLIPS if device.type == "cuda" else 0, 2 * options.batch)),
        "joint",
        {**TRAIN, "batch": options.batch},
        seed=1,
    )
    print(
        f"training_gpu, {device}, batches of {options.batch} clips, window {TRAIN['window']}, {options.steps} steps"
    )
    speed = {}
    for way, (precision, compiled) in WAYS.items():
        torch.manual_seed(1)
        model = build_model(MODEL, num_classes=CLASSES, layout=LAYOUT, persons=PERSONS).to(device).train()
        if compiled:
            _compile(model.backbone, device)
        fed = seconds(model, batches(loader), options.steps, precision)
        alone = seconds(model, itertools.repeat(next(iter(batches(loader)))), options.steps, precision)
        speed[way] = options.batch * options.steps / fed
        waits = max(0.0, 1 - alone / fed)
        print(f"  {way:<14} {speed[way]:8.0f} clips/s   waits for data {100 * waits:4.1f} % of the time")
    print(f"  ratio          {speed['bf16 compiled'] / speed['fp32 eager']:8.1f}×")


if __name__ == "__main__":
    main()
