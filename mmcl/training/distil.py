"""A stream learns from an ensemble of trained streams too: the composition of MMCL with IKEM's distillation.

The teachers stand still. They see the student's own augmented clips, each its own stream of them.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.colearn.relational import relational
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.models.heads import JointHead
from mmcl.naming import sha256
from mmcl.skeleton.ragged import Ragged
from mmcl.skeleton.streams import to_streams
from mmcl.training.feeders import make_feeder
from mmcl.training.loader import EVERY_EPOCH, epoch_seed
from mmcl.training.precision import autocast
from mmcl.training.trained import Trained, check_same, load_model

log = logging.getLogger(__name__)

BATCH = 64


class Taught(NamedTuple):
    """What the teachers say of a batch.

    Attributes:
        features: (U, B, D), unit length, member by member.
        logits: (B, C), of the ensemble.
    """

    features: Tensor
    logits: Tensor


class Teachers:
    """The members of an ensemble, on the training clips of a student.

    With h_u a member's features and μ_u their mean over the remembered clips, which takes away what all clips have in
    common (features are means of positive numbers, so their cosines are near one):

        t_u = (h_u − μ_u) / ‖h_u − μ_u‖,   s_T = Σ_u w_u s_u / Σ_u w_u

    Features of members that are narrower than others end in zeros, which changes no angle.

    Args:
        models: model.pt of all members, in the order of the ensemble.
        ensemble: ensemble.json, for their weights w_u.
        settings: of the student's training, see `train_stream`.
        source: the store that both are trained on.
        clips: the student's training clips, on the device.

    Attributes:
        inputs: fingerprints of what the teachers follow from.
        memory: (U, D, K), t_u of K training clips as they are. The teachers do not learn, so it needs no renewal.

    Raises:
        UserError: they are not the members of the ensemble; or they were trained on other clips, classes or joints,
            or shown clips otherwise than the student.
    """

    def __init__(
        self,
        models: Sequence[str | Path],
        ensemble: str | Path,
        settings: dict,
        source: SkeletonStore,
        clips: Ragged,
    ):
        self.settings, self.layout = settings["train"], source.layout
        place = clips.joints.device
        found = [load_model(Path(path), place) for path in models]
        weights = _weights(ensemble, found)
        for path, one in zip(models, found, strict=True):
            check_same(Path(path), one, source, settings, "to teach")
            shown = one.settings["train"]
            for what, own, theirs in [
                ("train.feeder", self.settings.get("feeder", "resize"), shown.get("feeder", "resize")),
                ("train.window", self.settings["window"], shown["window"]),
                ("people", source.people, one.persons),
            ]:
                if own != theirs:
                    raise UserError(f"train.distil: {path} was trained with {what} {theirs}, not {own}")
        self.inputs = [json.dumps(weights), *(sha256(Path(path)) for path in models)]
        self.networks = [(one.settings["stream"], one.inference) for one in found]
        self.weights = torch.tensor(weights, device=place) / sum(weights)
        self.feeder = make_feeder(self.settings, "joint", self.layout)
        self.clips = self.feeder.keep(clips)
        self.centre, self.memory = self._remember(clips, settings["seed"])

    def __call__(self, draw: Any) -> Taught:
        """What they say of clips that were drawn by the student's feeder."""
        features, logits = self._forward(self.feeder.training_view(self.clips, draw))
        return Taught(F.normalize(features - self.centre[:, None], dim=2), logits)

    @torch.no_grad()
    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, 3, T, V, M) -> features (U, B, D) and logits (B, C)."""
        views = to_streams(x, list({stream for stream, _ in self.networks}), self.layout)
        features, logits = [], torch.zeros((), device=x.device)
        with autocast(self.settings["precision"], x.device):
            for weight, (stream, net) in zip(self.weights, self.networks, strict=True):
                features.append(net.features(views[stream]))
                logits = logits + weight * net.net.classify(features[-1]).float()
        widest = max(one.shape[1] for one in features)
        return torch.stack([F.pad(one.float(), (0, widest - one.shape[1])) for one in features]), logits

    def _remember(self, clips: Ragged, seed: int) -> tuple[Tensor, Tensor]:
        """The centres μ (U, D) and the memory."""
        count, place = len(clips.length), clips.length.device
        generator = torch.Generator().manual_seed(epoch_seed(seed, EVERY_EPOCH))
        rows = torch.randperm(count, generator=generator)[: self.settings["distil"]["memory"]].to(place)
        parts = [self._forward(self.feeder.test_view(clips, part))[0] for part in rows.split(BATCH)]
        features = torch.cat(parts, 1)
        centre = features.mean(1)
        return centre, F.normalize(features - centre[:, None], dim=2).mT.contiguous()


class Distillation(nn.Module):
    """The losses of a student that learns from `Teachers`.

    With s the student's logits, h its features, z = head(h) of U·D numbers and unit length, Q the teachers' memory:

        L = CE(s, y) + λ_l · τ² · KL(softmax(s_T / τ) ‖ softmax(s / τ)) + λ_f · L_relational(z, t, Q) + FAM + FRM

    The divergence is that of Hinton et al. (2015), the relational loss IKEM's, see `mmcl.selfsup.losses.relational`.
    Neither uses a label.

    Args:
        width: of the student's features.
        memory: of the teachers, (U, D, K).
        settings: the section `train.distil`.
    """

    head: JointHead | None

    def __init__(self, width: int, memory: Tensor, settings: dict):
        super().__init__()
        self.settings = settings
        # a list, as a module's buffers would be sent from process to process in every step
        self.memory = [memory]
        members, dim, _ = memory.shape
        self.head = JointHead(width, members * dim) if settings["relation_weight"] else None

    def forward(self, features: Tensor, logits: Tensor, taught: Taught) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of a batch.

        Args:
            features: (B, width).
            logits: (B, C).
            taught: of the same clips.

        Returns:
            λ_f · relational + λ_l · imitation; the relational loss; the divergence with its τ². Scalars.
        """
        options = self.settings
        relation = logits.new_zeros((), dtype=torch.float32)
        if self.head is not None:
            z = self.head(features)
            with torch.autocast(z.device.type, enabled=False):
                near = min(options["topk"], self.memory[0].shape[2])
                temperature = options["relation_temperature"]
                relation = relational(z[None], taught.features, self.memory[0], temperature, near)[0]
        imitation = softened_divergence(logits, taught.logits, options["temperature"])
        total = options["relation_weight"] * relation + options["logit_weight"] * imitation
        return total, relation, imitation


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ)), mean over clips; logits (B, C) both."""
    at_least = torch.promote_types(student.dtype, torch.float32)
    own = F.log_softmax(student.to(at_least) / temperature, 1)
    theirs = F.log_softmax(teacher.to(at_least) / temperature, 1)
    return temperature**2 * F.kl_div(own, theirs, reduction="batchmean", log_target=True)


def _weights(ensemble: str | Path, found: Sequence[Trained]) -> list[float]:
    """The fusion weights of members that are those of an ensemble."""
    members = json.loads(Path(ensemble).read_text())["members"]
    told = [(one["backbone"], one["graph"], one["stream"]) for one in members]
    models = [one.settings["model"] for one in found]
    given = [
        (model["backbone"], model["graph"], one.settings["stream"])
        for model, one in zip(models, found, strict=True)
    ]
    if told != given:
        raise UserError(f"train.distil: the teachers are {given}, the members in {ensemble} are {told}")
    return [float(one["weight"]) for one in members]
