"""Logits of clips from the skeleton alone, during training and afterwards."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmcl.colearn.learner import CoLearner
from mmcl.datasets.prepare import SkeletonStore
from mmcl.engine.processes import Processes
from mmcl.models.inference import Inference
from mmcl.settings.jobs import StreamTraining
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import Ragged, join
from mmcl.training.data import scored_rows
from mmcl.training.feeders import make_feeder


def batch_on(device: torch.device) -> int:
    """Clips that are computed together: as many as keep a GPU busy; a CPU works on a few people at a time anyway."""
    return 256 if device.type == "cuda" else 64


@torch.no_grad()
def skeleton_logits(
    network: Callable[[Tensor], Tensor],
    clips: Ragged,
    rows: Tensor,
    stream: str,
    layout: str,
    settings: TrainSettings,
) -> Tensor:
    """Logits (B, C) float32 of clips, batch by batch.

    Args:
        network: in evaluation mode, (B, 3, window, V, M) -> (B, C).
        clips: N clips, on the network's device.
        rows: (B) which of them, at least one.
        stream: what of the skeleton the network sees.
        layout: joint layout.
        settings: the `train` section, for its feeder's test view.
    """
    feeder = make_feeder(settings, stream, layout)
    parts = torch.split(rows, batch_on(rows.device))
    return torch.cat([network(feeder.test_view(clips, part)).float() for part in parts])


class ScoredClips:
    """The clips that `score_stream` will score, for their accuracy during training.

    Args:
        source: store `mmcl.skeletons/1`.
        settings: of the run.
        processes: among which the clips are shared out.

    Raises:
        UserError: there is no such clip.
    """

    def __init__(self, source: SkeletonStore, settings: StreamTraining, processes: Processes):
        rows = scored_rows(source, settings)
        self.clips = join(source.read_clips(rows), source.people, source.frames[rows]).to(processes.device)
        self.labels = torch.from_numpy(source.labels[rows]).to(processes.device)
        self.layout = source.layout
        self.settings = settings
        self.processes = processes

    def top1(self, model: CoLearner) -> float:
        """Accuracy in percent of the network as it is, computed as `score_stream` will; it stays in training mode."""
        rows = torch.arange(len(self.labels), device=self.labels.device)
        own = rows[self.processes.rank :: self.processes.world]
        right = self.labels.new_zeros(())
        if len(own):
            settings, network = self.settings, Inference(model.backbone)
            logits = skeleton_logits(network, self.clips, own, settings.stream, self.layout, settings.train)
            right = (logits.argmax(1) == self.labels[own]).sum()
        return round(100 * int(self.processes.sum(right)) / len(rows), 2)
