"""The ensemble that a stream learns from: trained streams on the training clips of a student.

Teachers are frozen. They see the student's own augmented clips, each member its own stream of them.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.colearn.distil import Taught
from mmcl.colearn.inputs import Input
from mmcl.datasets.prepare import SkeletonStore
from mmcl.engine.precision import autocast
from mmcl.engine.seeds import EVERY_EPOCH, epoch_seed
from mmcl.errors import UserError
from mmcl.files import read_json
from mmcl.naming import sha256
from mmcl.settings.jobs import StreamTraining
from mmcl.skeleton.ragged import Ragged
from mmcl.skeleton.streams import to_streams
from mmcl.training.feeders import make_feeder
from mmcl.training.trained import Trained, check_same, load_model

BATCH = 64


class Teachers(Input):
    """The members of an ensemble, as the input `teachers` of `Distillation`.

    With h_u a member's features and μ_u their mean over the clips in memory, which removes what all clips have in
    common (features are means of positive numbers, so their cosines are near one):

        t_u = (h_u − μ_u) / ‖h_u − μ_u‖,   s_T = Σ_u w_u s_u / Σ_u w_u

    Features of members that are narrower than others are padded with zeros, which changes no angle.

    Args:
        models: model.pt of all members, in the order of the ensemble.
        ensemble: ensemble.json, for their weights w_u.
        settings: of the student's training, with `train.distil`.
        source: the store that both are trained on.
        clips: the student's training clips, on the device.

    Attributes:
        memory: (U, D, K), t_u of K training clips without augmentation. The teachers are frozen, so it stays valid.

    Raises:
        UserError: they are not the members of the ensemble; or they were trained on other clips, classes or joints,
            or with another view of clips than the student's.
    """

    def __init__(
        self,
        models: Sequence[Path],
        ensemble: Path,
        settings: StreamTraining,
        source: SkeletonStore,
        clips: Ragged,
    ):
        self._precision, self._layout = settings.train.precision, source.layout
        device = clips.joints.device
        found = [load_model(path, device) for path in models]
        weights = _weights(ensemble, found)
        for path, one in zip(models, found, strict=True):
            check_same(path, one, source, settings, "to teach")
            for what, own, theirs in [
                ("train.feeder", settings.train.feeder, one.settings.train.feeder),
                ("train.window", settings.train.window, one.settings.train.window),
                ("people", source.people, one.persons),
            ]:
                if own != theirs:
                    raise UserError(f"train.distil: {path} was trained with {what} {theirs}, not {own}")
        self.fingerprints = [json.dumps(weights), *(sha256(path) for path in models)]
        self.without = []
        self.networks = [(one.settings.stream, one.inference) for one in found]
        self._weights = torch.tensor(weights, device=device) / sum(weights)
        self._feeder = make_feeder(settings.train, "joint", self._layout)
        self._clips = self._feeder.keep(clips)
        self._centre, self.memory = self._remember(clips, settings)
        self.shape = tuple(self.memory.shape[:2])

    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Taught]:
        """See `Input`."""
        for part in parts:
            yield self.teach(draw._make(numbers[part] for numbers in draw))

    def teach(self, draw: Any) -> Taught:
        """Features and logits of clips that were drawn by the student's feeder."""
        features, logits = self._forward(self._feeder.training_view(self._clips, draw))
        features = F.normalize(features - self._centre[:, None], dim=2)
        return Taught(features.transpose(0, 1), logits)

    @torch.no_grad()
    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, 3, T, V, M) -> features (U, B, D) and logits (B, C)."""
        views = to_streams(x, list(dict.fromkeys(stream for stream, _ in self.networks)), self._layout)
        features, logits = [], torch.zeros((), device=x.device)
        with autocast(self._precision, x.device):
            for weight, (stream, net) in zip(self._weights, self.networks, strict=True):
                features.append(net.features(views[stream]))
                logits = logits + weight * net.net.classify(features[-1]).float()
        widest = max(one.shape[1] for one in features)
        return torch.stack([F.pad(one.float(), (0, widest - one.shape[1])) for one in features]), logits

    def _remember(self, clips: Ragged, settings: StreamTraining) -> tuple[Tensor, Tensor]:
        """The centres μ (U, D) and the memory."""
        assert settings.train.distil
        count, device = len(clips.length), clips.length.device
        generator = torch.Generator().manual_seed(epoch_seed(settings.seed, EVERY_EPOCH))
        rows = torch.randperm(count, generator=generator)[: settings.train.distil.memory].to(device)
        parts = [self._forward(self._feeder.test_view(clips, part))[0] for part in torch.split(rows, BATCH)]
        features = torch.cat(parts, 1)
        centre = features.mean(1)
        return centre, F.normalize(features - centre[:, None], dim=2).mT.contiguous()


def _weights(ensemble: Path, found: Sequence[Trained]) -> list[float]:
    """The fusion weights, of models that are the members of an ensemble."""
    members = read_json(ensemble)["members"]
    stated = [(one["backbone"], one["graph"], one["stream"]) for one in members]
    given = [(one.settings.model.backbone, one.settings.model.graph, one.settings.stream) for one in found]
    if stated != given:
        raise UserError(f"train.distil: the teachers are {given}, the members in {ensemble} are {stated}")
    return [float(one["weight"]) for one in members]
