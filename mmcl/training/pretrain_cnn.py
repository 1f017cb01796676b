"""Training of a CNN on the training subjects' own pictures, for FAM to use frozen (rule `pretrain_cnn`).

For pictures that no classifier is published for, such as depth, or for users without ImageNet weights: a
classifier of torchvision is trained from random weights to classify the action of a montage.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmcl.colearn.montages import Feeder, MontageFiles
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.engine.loop import Losses, Task, fit
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark, digest
from mmcl.engine.seeds import epoch_seed
from mmcl.errors import UserError
from mmcl.files import write_json, written
from mmcl.models.cnn import CNN, open_cnn, shrink
from mmcl.naming import sha256
from mmcl.settings.jobs import CnnTraining
from mmcl.settings.model import CnnSettings
from mmcl.settings.protocol import SelectionSettings
from mmcl.store import Shards
from mmcl.training.augment import MontageDraw, augment, draw_montages
from mmcl.versions import versions

log = logging.getLogger(__name__)

IN_MEMORY = 2 << 30
"""Bytes up to which all pictures are decoded once and kept; more of them are decoded anew in every epoch."""


def pretrain_cnn(
    *, skeletons: Path, montages: Sequence[Path], output: Path, settings: CnnTraining, threads: int = 1
) -> None:
    """Train a CNN to classify the action of the training clips' montages.

    No picture is read of clips that do not train. The clips that a run for fusion weights holds out train here, as
    they are of training subjects.

    While it runs, `last.pt` beside the output holds the state after an epoch; a run that was stopped resumes from it.

    Args:
        skeletons: store `mmcl.skeletons/1`: labels and the numbers that a protocol splits by.
        montages: stores `mmcl.montages/1`.
        output: the state dict, `.safetensors`; a `.json` of the same name holds classes, clips, settings and
            the accuracy on the training clips.
        settings: of the stage.
        threads: CPU threads and, for pictures that do not fit into memory, processes.

    Raises:
        UserError: no training clip has a picture, another process trains here, the loss is not finite.
    """
    from safetensors.torch import save_file

    output = Path(output)
    torch.set_num_threads(max(1, threads))
    processes = Processes()
    source, shards = SkeletonStore(skeletons), Shards(montages, "mmcl.montages/1")
    train = select(source, settings).train
    rows = np.array([row for row in train.nonzero()[0] if source.names[row] in shards], int)
    if len(rows) < 2:
        raise UserError(f"{source.path}: no training clip of {settings.protocol} has a picture")
    names = [source.names[row] for row in rows]
    pictures = Pictures(shards, names, settings.image_size, threads - 1)
    labels = torch.from_numpy(source.labels[rows])
    log.info("%d training pictures, %d classes", len(rows), len(source.class_ids))

    torch.manual_seed(settings.seed)
    cnn = open_cnn(_as_classifier(settings, len(source.class_ids)))
    task = CnnTask(cnn, pictures, labels, settings, processes.device)
    # which clips train enters by their names
    stated = {
        key: value for key, value in settings.dump().items() if key not in SelectionSettings.model_fields
    }
    inputs = {
        "skeletons": source.fingerprint,
        "pictures": shards.fingerprint,
        "training clips": digest(names),
    }
    mark = Mark(stated, inputs)
    with fit(task, settings, target=output, mark=mark, processes=processes) as fitted:
        hits, seen = task.hits()
        state = {name: value.cpu().contiguous() for name, value in cnn.net.state_dict().items()}
        with written(output) as temporary:
            save_file(state, temporary)
        write_json(
            output.with_suffix(".json"),
            {
                "settings": settings.dump(),
                "versions": versions("mmcl", "torch", "torchvision", "numpy"),
                "sha256": sha256(output),
                "classes": source.class_ids,
                "class_names": source.class_names,
                "subjects": sorted(set(source.subject[rows].tolist())),
                "clips": seen,
                "without_picture": int(train.sum()) - seen,
                "training_accuracy": round(100 * hits / seen, 2),
                "history": [
                    {key: row[key] for key in ("epoch", "loss", "accuracy")} for row in fitted.history
                ],
            },
        )


class Presented(NamedTuple):
    """Pictures of a step, augmented: (B, S, S, 3) uint8, and their labels (B)."""

    images: Tensor
    labels: Tensor


class CnnTask(Task[Presented]):
    """The training of a CNN.

    Args:
        cnn: a classifier.
        pictures: of the training clips.
        labels: (N) int64, of the same clips.
        settings: of the stage.
        device: of the training.
    """

    net: CNN
    label = "pretrain_cnn"
    rate_key = "pretrain.learning_rate"
    same_pictures = True

    def __init__(
        self, cnn: CNN, pictures: "Pictures", labels: Tensor, settings: CnnTraining, device: torch.device
    ):
        self.net = cnn.to(device).to(memory_format=torch.channels_last).train()
        self.batch = min(settings.batch, len(labels))
        self.steps = len(labels) // self.batch
        self.seed = settings.seed
        self.pictures = pictures
        self.labels = labels
        self.settings = settings
        self.device = device

    def batches(self, epoch: int) -> Iterator[Presented]:
        """See `Task`: in the epoch's own order, augmented. Incomplete batches are dropped."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        order = torch.randperm(len(self.labels), generator=generator)[: self.steps * self.batch]
        changes = draw_montages(len(order), self.settings.augment, generator)
        readable = False
        for step, (images, has) in enumerate(self.pictures.batches(torch.split(order, self.batch))):
            here = step * self.batch + has.nonzero()[:, 0]
            if len(here) < 2:
                continue  # batch normalisation needs two
            readable = True
            change = MontageDraw(*(part[here].to(self.device) for part in changes))
            labels = self.labels[order[here]].to(self.device)
            yield Presented(augment(images[has].to(self.device), change, self.settings.strips), labels)
        if not readable:
            raise UserError(f"{self.pictures.path}: not one of the training clips' pictures can be read")

    def losses(self, batch: Presented) -> Losses:
        """See `Task`; batches weigh as many pictures as they have."""
        logits = self.net(batch.images)
        loss = cross_entropy(logits, batch.labels, label_smoothing=self.settings.label_smoothing)
        right = (logits.argmax(1) == batch.labels).float().mean()
        return Losses(loss, {"accuracy": right}, weight=len(batch.labels))

    @torch.inference_mode()
    def hits(self) -> tuple[int, int]:
        """Pictures that the network classifies correctly in evaluation mode, as FAM uses it, and how many there are."""
        self.net.eval()
        hits = seen = 0
        parts = torch.split(torch.arange(len(self.labels)), self.batch)
        for rows, (images, has) in zip(parts, self.pictures.batches(parts), strict=True):
            if has.any():
                named = self.net(images[has].to(self.device)).argmax(1).cpu()
                hits += int((named == self.labels[rows[has]]).sum())
                seen += int(has.sum())
        return hits, seen


class Pictures:
    """Montages of some clips at the CNN's size, from memory where they fit.

    Args:
        shards: `mmcl.montages/1`.
        names: the N clips.
        size: side of a picture.
        workers: processes that decode; 0 for none.
    """

    def __init__(self, shards: Shards, names: list[str], size: int, workers: int = 0):
        self.path = shards.paths[0]
        feeder = Feeder(_Shrunk(shards, names, size), size, workers)
        self._feeder: Feeder | None = feeder
        if len(names) * size * size * 3 <= IN_MEMORY:
            parts = torch.split(torch.arange(len(names)), 64)
            images, has = zip(*feeder.batches([part.tolist() for part in parts]), strict=True)
            self._kept = torch.cat(images), torch.cat(has)
            self._feeder = None

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of rows pictures (B, S, S, 3) uint8, black where they are damaged, and which are not."""
        if self._feeder is not None:
            return self._feeder.batches([part.tolist() for part in rows])
        images, has = self._kept
        return ((images[part], has[part]) for part in rows)


class _Shrunk(MontageFiles):
    def __init__(self, shards: Shards, names: Sequence[str], size: int):
        super().__init__(shards, names)
        self.size = size

    def __getitem__(self, row: int) -> np.ndarray | None:
        picture = super().__getitem__(row)
        return None if picture is None else shrink(picture, self.size)


def _as_classifier(settings: CnnTraining, classes: int) -> CnnSettings:
    """The settings of a network of random weights that classifies the action."""
    return CnnSettings(
        architecture=settings.architecture,
        image_size=settings.image_size,
        weights=None,
        num_classes=classes,
        feature="logits",
    )
