"""Probes of frozen encoders: action recognition by a linear classifier and by nearest neighbours on their features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmcl.datasets.mapped import seen_as
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.device import pick_device
from mmcl.errors import WITHOUT_GPU, UserError, memory_reported
from mmcl.evaluation.metrics import hits, percent
from mmcl.evaluation.score import write_logits
from mmcl.files import write_json
from mmcl.progress import tracked
from mmcl.selfsup.files import Encoders, load_encoders
from mmcl.selfsup.heads import Labelled, standardised, train_heads
from mmcl.selfsup.neighbours import joined_features, nearest_classes
from mmcl.selfsup.norms import measure_norms
from mmcl.settings.jobs import Probing
from mmcl.skeleton.ragged import Ragged, join
from mmcl.training.predict import batch_on


@memory_reported(WITHOUT_GPU)
def probe_stream(
    *, model: Path, skeletons: Path, output: Path, metrics: Path, settings: Probing, threads: int = 1
) -> None:
    """Probe encoders on the training and test clips of a protocol.

    Networks are in evaluation mode and see clips unchanged, without augmentation. Clips of another joint layout than
    the encoders' are mapped by joint name.

    `metrics` gets clips, train_clips, left_out, and
        encoders: encoder → top1, top5 of a linear classifier of its own after the last epoch; best_on_test {epoch,
            top1}, which is chosen on the test clips; knn {k: top1}.
        together: trained {top1, top5, best_on_test}, the heads trained through the mean of their logits, as released;
            posthoc {top1, top5}, the mean of the encoders' own classifiers; knn, on all features concatenated.

    Args:
        model: of pretrain_streams or distil_student.
        skeletons: store `mmcl.skeletons/1`.
        output: scores `mmcl.scores/1` of the heads that were trained together.
        metrics: the JSON file.
        settings: of the stage. `what: random` uses the encoders' form alone, at the weights that a pre-training of this
            seed begins from, with norms measured on the training clips, see `measure_norms`.
        threads: CPU threads.

    Raises:
        UserError: no clip to train or test with, a layout that cannot be mapped, or the loss is not finite.
    """
    torch.set_num_threads(max(1, threads))
    device = pick_device()
    torch.manual_seed(settings.seed)
    encoders = load_encoders(model, trained=settings.what != "random")
    stored = SkeletonStore(skeletons)
    selection = select(stored, settings)
    source = seen_as(stored, encoders.layout, encoders.persons)
    encoders.nets.to(device)
    if settings.what == "random" and selection.train.any():
        clips = _joined(source, np.flatnonzero(selection.train), encoders, device)
        measure_norms(encoders, encoders.views(clips))
    parts = []
    for which, rows in (("training", selection.train), ("test", selection.test)):
        if not rows.any():
            raise UserError(f"{skeletons}: no {which} clip for protocol {settings.protocol}")
        labels = torch.from_numpy(source.labels[rows]).to(device)
        parts.append(Labelled(features(encoders, source, np.flatnonzero(rows), device), labels))
    train, test = parts

    classes, probe = len(source.class_ids), settings.probe
    shown = standardised(train, test) if probe.standardise else (train, test)
    apart, best_apart = train_heads(*shown, classes, probe, settings.seed)
    together, best_together = train_heads(*shown, classes, probe, settings.seed, together=True)
    rows_of = {source.names[row]: int(row) for row in np.flatnonzero(selection.test)}
    joint = dict(zip(rows_of, together[0].cpu().numpy(), strict=True))
    write_logits(
        output,
        source,
        rows_of,
        lambda names: np.stack([joint[name] for name in names]),
        settings,
        [model, skeletons],
    )

    def neighbours(trained: Tensor, tested: Tensor) -> dict[str, float]:
        found = nearest_classes(trained, train.labels, tested, probe.neighbours)
        return {str(k): _share(nearest == test.labels) for k, nearest in found.items()}

    result = {
        "clips": len(test.labels),
        "train_clips": len(train.labels),
        "left_out": selection.test_left_out,
        "encoders": {
            name: {**_accuracy(logits, test.labels), "best_on_test": best._asdict(), "knn": neighbours(*pair)}
            for name, logits, best, *pair in zip(
                encoders.backbones, apart, best_apart, train.features, test.features, strict=True
            )
        },
        "together": {
            "trained": {
                **_accuracy(together[0], test.labels),
                "best_on_test": best_together[0]._asdict(),
            },
            "posthoc": _accuracy(apart.mean(0), test.labels),
            "knn": neighbours(joined_features(train.features), joined_features(test.features)),
        },
    }
    write_json(metrics, result)


@torch.no_grad()
def features(
    encoders: Encoders, source: SkeletonStore, rows: Sequence[int] | np.ndarray, device: torch.device
) -> Tensor:
    """Features (U, N, D) of clips, not augmented, encoder by encoder.

    Args:
        encoders: on the device.
        source: the clips, in the encoders' layout.
        rows: N of them.
        device: of encoders and features.
    """
    views = encoders.views(_joined(source, rows, encoders, device))
    batches = torch.arange(len(rows), device=device).split(batch_on(device))
    found = [
        encoders.features(views.plain(part, encoders.modalities))
        for part in tracked(batches, "features", "batches")
    ]
    stacked = [torch.stack([part[name] for name in encoders.backbones]) for part in found]
    return torch.cat(stacked, 1).float()


def _joined(
    source: SkeletonStore, rows: Sequence[int] | np.ndarray, encoders: Encoders, device: torch.device
) -> Ragged:
    return join(source.read_clips(rows), encoders.persons, source.frames[rows]).to(device)


def _accuracy(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    scores, classes = logits.cpu().numpy(), labels.cpu().numpy()
    return {f"top{k}": percent(hits(scores, classes, k).sum(), len(classes)) for k in (1, 5)}


def _share(right: Tensor) -> float:
    return round(100 * float(right.double().mean()), 2)
