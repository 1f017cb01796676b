"""Training the demo's CNN: a ShuffleNet that classifies the held object in a montage."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmcl.demo.learning import PicturesTask, augment, begin
from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import Pictures
from mmcl.engine.loop import Losses, fit
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.files import written
from mmcl.models.cnn import CNN, open_cnn, shrink
from mmcl.settings.demo import CnnDemoSettings, DemoWeightsSettings
from mmcl.settings.model import CnnSettings

NOWHERE = np.full((5, 2), np.nan)


def train_cnn(
    pictures: Path, output: Path, settings: DemoWeightsSettings, work: Path, threads: int
) -> list[float]:
    """Train from random weights and write a state dict that `mmcl.models.cnn.open_cnn` opens.

    Args:
        pictures: sealed `mmcl.training_pictures/2`.
        output: the `.safetensors` file, in full precision.
        settings: of the demo's networks.
        work: a folder for the state of an unfinished training.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    rng, device = begin(settings.seed, threads)
    cnn = open_cnn(workflow_settings(settings.cnn))
    cnn.to(device).to(memory_format=torch.channels_last)
    table = Pictures(pictures)
    task = CnnTask(cnn, table, settings.cnn, settings.seed, rng, device)
    mark = Mark({"seed": settings.seed, **settings.cnn.dump()}, {"pictures": table.store.fingerprint})
    processes = Processes(device=device)
    with fit(task, settings.cnn, target=work / "cnn", mark=mark, processes=processes) as fitted:
        output.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.cpu().contiguous() for name, value in cnn.net.state_dict().items()}
        # in full precision: 1.5 MB, and the variances of batch normalisation stay exact
        with written(output) as temporary:
            save_file(state, temporary)
    return [row["loss"] for row in fitted.history]


class Presented(NamedTuple):
    """Augmented pictures (B, S, S, 3) uint8 and the numbers of their objects (B)."""

    images: Tensor
    labels: Tensor


class CnnTask(PicturesTask[Presented]):
    """The training of the CNN."""

    net: CNN
    label = "cnn"

    def __init__(
        self,
        cnn: CNN,
        table: Pictures,
        settings: CnnDemoSettings,
        seed: int,
        rng: np.random.Generator,
        device: torch.device,
    ):
        self.images = np.stack([shrink(image, settings.image_size) for image in table.montages()])
        self.labels = torch.tensor([KINDS.index(fact.object) for fact in table.facts()])
        self.label_smoothing = settings.label_smoothing
        self.device = device
        super().__init__(cnn, len(self.images), settings, seed, rng)

    def presented(self, rows: np.ndarray) -> Presented:
        """See `PicturesTask`."""
        images = np.stack([augment(self.images[row], NOWHERE, self.rng)[0] for row in rows])
        return Presented(torch.from_numpy(images).to(self.device), self.labels[rows].to(self.device))

    def losses(self, batch: Presented) -> Losses:
        """See `Task`."""
        loss = cross_entropy(self.net(batch.images), batch.labels, label_smoothing=self.label_smoothing)
        return Losses(loss, {})


def workflow_settings(settings: CnnDemoSettings, weights: Path | None = None) -> CnnSettings:
    """The settings under which the workflow opens what `train_cnn` writes, with class scores as features."""
    return CnnSettings(
        architecture=settings.architecture,
        weights=str(weights) if weights else None,
        num_classes=len(KINDS),
        image_size=settings.image_size,
    )
