"""Training of a CNN on the training subjects' own pictures, for FAM to use frozen (rule `pretrain_cnn`).

For pictures that no classifier is published for, such as depth, or for users without ImageNet weights: a
classifier of torchvision begins at random weights and learns to name the action from the montage.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from mmcl import device
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.files import write_json
from mmcl.models.cnn import CNN, open_cnn, shrink
from mmcl.naming import sha256
from mmcl.store import Shards
from mmcl.training.adamw import adamw
from mmcl.training.augment import Draw, augment, draw
from mmcl.training.loader import Montages, collate, epoch_seed
from mmcl.training.resume import LastState, fingerprint, only_writer

log = logging.getLogger(__name__)

IN_MEMORY = 2 << 30
"""Bytes up to which all pictures are decoded once and kept; more of them are decoded anew in every epoch."""


def pretrain_cnn(
    *, skeletons: Path, montages: Sequence[Path], output: Path, settings: dict, threads: int = 1
) -> None:
    """Train a CNN to name the action of the training clips' montages.

    Of the clips that do not train, no picture is read. The clips that a run for fusion weights holds out do
    train here: they are training subjects.

    While it runs, `last.pt` beside the output holds the state after an epoch; a run that was stopped
    continues from it.

    Args:
        skeletons: store `mmcl.skeletons/1`: labels and the numbers that a protocol splits by.
        montages: stores `mmcl.montages/1`.
        output: the state dict, `.safetensors`; a `.json` of the same name tells classes, clips, settings and
            the accuracy on the training clips.
        settings: `architecture`, `image_size`, `protocol` and what else `mmcl.datasets.selection.select` takes,
            `epochs`, `batch`, `learning_rate`, `weight_decay`, `warmup_epochs`, `label_smoothing`, `augment` (see
            `mmcl.training.augment.draw`), `seed`, `version`.
        threads: CPU threads and, for pictures that do not fit into memory, processes.

    Raises:
        UserError: no training clip has a picture, another process trains here, the loss is not finite.
    """
    from safetensors.torch import save_file

    output = Path(output)
    torch.set_num_threads(max(1, threads))
    place = device.pick()
    source, shards = SkeletonStore(skeletons), Shards(montages, "mmcl.montages/1")
    train = select(source, settings).train
    rows = np.array([row for row in train.nonzero()[0] if source.names[row] in shards], int)
    if len(rows) < 2:
        raise UserError(f"{source.path}: no training clip of {settings['protocol']} has a picture")
    pictures = Pictures(shards, [source.names[row] for row in rows], settings["image_size"], threads - 1)
    labels = torch.from_numpy(source.labels[rows])
    log.info("%d training pictures, %d classes", len(rows), len(source.class_ids))

    torch.manual_seed(settings["seed"])
    cnn = open_cnn(_as_classifier(settings, len(source.class_ids)))
    cnn = cnn.to(place).to(memory_format=torch.channels_last)
    batch = min(settings["batch"], len(rows))
    optimizer, schedule = adamw(cnn, settings, steps=len(rows) // batch)

    with only_writer(output.parent):
        inputs = [source.fingerprint, shards.fingerprint]
        last = LastState(output.with_name("last.pt"), fingerprint(settings, inputs))
        history: list[dict[str, float]] = []
        if state := last.load():
            cnn.load_state_dict(state["cnn"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            history = state["history"]
            log.info("continuing after %d of %d epochs", len(history), settings["epochs"])

        cnn.train()
        for epoch in range(len(history), settings["epochs"]):
            sums = torch.zeros(3, device=place)
            for images, truth in _epoch(epoch, pictures, labels, batch, settings, place):
                logits = cnn(images)
                loss = cross_entropy(logits, truth, label_smoothing=settings["label_smoothing"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                right = (logits.argmax(1) == truth).sum()
                sums += torch.stack([loss.detach() * len(truth), right, torch.full_like(right, len(truth))])
            loss_sum, hits, seen = sums.tolist()
            if not math.isfinite(loss_sum):
                raise UserError(
                    f"{output}: the loss is not finite in epoch {epoch + 1}; lower pretrain.learning_rate"
                )
            values = (epoch + 1, loss_sum / max(1, seen), round(100 * hits / max(1, seen), 2))
            history.append(dict(zip(("epoch", "loss", "accuracy"), values, strict=True)))
            last.save(
                cnn=cnn.state_dict(),
                optimizer=optimizer.state_dict(),
                schedule=schedule.state_dict(),
                history=history,
            )
            log.info("epoch %d: loss %.3f, accuracy %.2f %%", *values)

        hits, seen = _hits(cnn, pictures, labels, batch, place)
        if not seen:
            raise UserError(f"{shards.paths[0]}: not one of the training clips' pictures can be read")
        state = {name: value.cpu().contiguous() for name, value in cnn.net.state_dict().items()}
        temporary = output.with_name(f"{output.name}.tmp")
        save_file(state, temporary)
        temporary.replace(output)
        write_json(
            output.with_suffix(".json"),
            {
                "settings": settings,
                "versions": {name: version(name) for name in ("mmcl", "torch", "torchvision", "numpy")},
                "sha256": sha256(output),
                "classes": source.class_ids,
                "class_names": source.class_names,
                "subjects": sorted(set(source.subject[rows].tolist())),
                "clips": seen,
                "without_picture": int(train.sum()) - seen,
                "training_accuracy": round(100 * hits / seen, 2),
                "history": history,
            },
        )
        last.remove()


def _epoch(
    epoch: int, pictures: "Pictures", labels: Tensor, batch: int, settings: dict, place: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches in the epoch's own order, augmented: (B, S, S, 3) uint8 and (B) labels.

    Order and changes depend on the seed and the epoch alone. Incomplete batches are dropped.
    """
    seed = epoch_seed(settings["seed"], epoch)
    torch.manual_seed(seed)  # for the network's dropout
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)[: len(labels) // batch * batch]
    changes = draw(len(order), settings["augment"], generator)
    for step, (images, has) in enumerate(pictures.batches(order.split(batch))):
        here = step * batch + has.nonzero()[:, 0]
        if len(here) < 2:
            continue  # batch normalisation needs two
        change = Draw(*(part[here].to(place) for part in changes))
        yield augment(images[has].to(place), change), labels[order[here]].to(place)


@torch.inference_mode()
def _hits(cnn: CNN, pictures: "Pictures", labels: Tensor, batch: int, place: torch.device) -> tuple[int, int]:
    """Pictures that the finished network, as FAM uses it, names rightly, and how many there are."""
    cnn.eval()
    hits = seen = 0
    parts = torch.arange(len(labels)).split(batch)
    for rows, (images, has) in zip(parts, pictures.batches(parts), strict=True):
        if has.any():
            named = cnn(images[has].to(place)).argmax(1).cpu()
            hits += int((named == labels[rows[has]]).sum())
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
        self._files = _Shrunk(shards, names, size)
        self._workers = max(0, workers)
        self._kept: tuple[Tensor, Tensor] | None = None
        if len(names) * size * size * 3 <= IN_MEMORY:
            parts = list(self._decoded(torch.arange(len(names)).split(64)))
            images, has = torch.zeros(len(names), size, size, 3, dtype=torch.uint8), []
            for i, (part, there) in enumerate(parts):
                images[64 * i : 64 * i + len(part)][there] = part[there]
                has.append(there)
            self._kept = images, torch.cat(has)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of rows pictures (B, S, S, 3) uint8, black where they are damaged, and which are not."""
        if self._kept is None:
            return self._decoded(rows)
        images, has = self._kept
        return ((images[part], has[part]) for part in rows)

    def _decoded(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(
            DataLoader(
                self._files,
                batch_sampler=[part.tolist() for part in rows],
                num_workers=self._workers,
                collate_fn=collate,
                pin_memory=torch.cuda.is_available(),
            )
        )


class _Shrunk(Montages):
    def __init__(self, shards: Shards, names: list[str], size: int):
        super().__init__(shards, names)
        self.size = size

    def __getitem__(self, row: int) -> np.ndarray | None:
        picture = super().__getitem__(row)
        return None if picture is None else shrink(picture, self.size)


def _as_classifier(settings: dict, classes: int) -> dict:
    """What `open_cnn` is told for a network of random weights that names the action."""
    return {
        "architecture": settings["architecture"],
        "image_size": settings["image_size"],
        "weights": None,
        "num_classes": classes,
        "feature": "logits",
    }
