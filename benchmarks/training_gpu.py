"""Training on a GPU: bf16 and compiled against fp32 eager, and how long the GPU waits for its batches.

Full-width CTR-GCN, 120 classes, batches of 200 made clips from the loader that training uses. Without a GPU it says
so and measures nothing (`--cpu --batch 2 --steps 1` tries the script itself).
`python benchmarks/training_gpu.py`
"""

import argparse
import itertools
import time
from collections.abc import Iterator

import numpy as np
import torch

from mmcl.colearn.learner import CoLearner, build_model
from mmcl.colearn.term import Batch
from mmcl.device import pick_device
from mmcl.engine.loop import Task, _epoch, compiled_in_training
from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.processes import Processes
from mmcl.settings.base import replaced
from mmcl.settings.model import FamSettings, FrmSettings, StreamModelSettings
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import join
from mmcl.training.loader import Loader, TrainingData

CLASSES, LAYOUT, PERSONS, CLIPS = 120, "ntu25", 2, 4000
MODEL = StreamModelSettings(fam=FamSettings(enabled=False), frm=FrmSettings(enabled=False))
WAYS = {"fp32 eager": ("fp32", False), "bf16 eager": ("bf16", False), "bf16 compiled": ("bf16", True)}


def made_clips(count: int) -> TrainingData:
    """Clips of NTU's lengths."""
    random = np.random.default_rng(0)
    clips = [
        random.normal(0, 0.5, (n, PERSONS, 25, 3)).astype(np.float32) for n in random.integers(30, 301, count)
    ]
    labels = torch.from_numpy(random.integers(0, CLASSES, count)).to(pick_device())
    return TrainingData([f"clip{i}" for i in range(count)], join(clips, PERSONS), labels, LAYOUT)


def batches(loader: Loader) -> Iterator[Batch]:
    """Epoch after epoch."""
    return itertools.chain.from_iterable(loader.epoch(epoch) for epoch in itertools.count())


class Steps(Task[Batch]):
    """So many steps with batches from a source."""

    def __init__(self, model: CoLearner, source: Iterator[Batch], precision: str):
        self.net = model
        self.source = source
        self.precision = precision
        self.steps = 0

    def batches(self, epoch: int) -> Iterator[Batch]:
        return itertools.islice(self.source, self.steps)


def seconds(model: CoLearner, source: Iterator[Batch], steps: int, settings: TrainSettings) -> float:
    """Time of so many training steps, after a few for warming up."""
    task, processes = Steps(model, source, settings.precision), Processes()
    optimizing = build_optimizer(model, settings, steps)
    start = 0.0
    for task.steps in (5, steps):
        synchronise()
        start = time.perf_counter()
        _epoch(task, task.losses, 0, optimizing, processes, int)
    synchronise()
    return time.perf_counter() - start


def synchronise() -> None:
    """Wait until the GPU has finished its work."""
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
    train = TrainSettings(batch=options.batch, learning_rate=0.01, weight_decay=0.0)
    loader = Loader(
        made_clips(max(CLIPS if device.type == "cuda" else 0, 2 * options.batch)),
        "joint",
        train,
        seed=1,
    )
    print(
        f"training_gpu, {device}, batches of {options.batch} clips, window {train.window}, {options.steps} steps"
    )
    speed = {}
    for way, (precision, compiled) in WAYS.items():
        torch.manual_seed(1)
        form = {"num_classes": CLASSES, "layout": LAYOUT, "persons": PERSONS}
        model = build_model(MODEL, **form, shapes={}, label_smoothing=0.0).to(device).train()
        if compiled:
            compiled_in_training(model.backbone, "features", device)
        own = replaced(train, precision=precision)
        fed = seconds(model, batches(loader), options.steps, own)
        alone = seconds(model, itertools.repeat(next(batches(loader))), options.steps, own)
        speed[way] = options.batch * options.steps / fed
        waits = max(0.0, 1 - alone / fed)
        print(f"  {way:<14} {speed[way]:8.0f} clips/s   waits for data {100 * waits:4.1f} % of the time")
    print(f"  ratio          {speed['bf16 compiled'] / speed['fp32 eager']:8.1f}×")


if __name__ == "__main__":
    main()
