"""A stream learns from an ensemble of trained streams, too: MMCL together with IKEM's relational distillation."""

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcl.colearn.relational import relational
from mmcl.colearn.term import Batch, Form, Term, TermLoss
from mmcl.models.heads import JointHead
from mmcl.precision import exact
from mmcl.settings.training import DistilSettings


class Taught(NamedTuple):
    """What the teachers give for a batch.

    Attributes:
        features: (B, U, D), L2-normalised, in the order of the members.
        logits: (B, C), of the ensemble.
    """

    features: Tensor
    logits: Tensor


class Distillation(Term):
    """The losses of a student.

    With s the student's logits, h its features, z = head(h) of U·D numbers, L2-normalised, t and s_T the teachers'
    features and fused logits, Q their memory:

        L = CE(s, y) + λ_l · τ² · KL(softmax(s_T / τ) ‖ softmax(s / τ)) + λ_f · L_relational(z, t, Q) + FAM + FRM

    The divergence is that of Hinton et al. (2015), the relational loss IKEM's, see `mmcl.colearn.relational`.
    Neither uses a label. The term is no part of the trained model.

    Args:
        settings: the section `train.distil`.
        form: of the student.
        memory: of the teachers, (U, D, K).
    """

    name = "distil"
    Settings: ClassVar = DistilSettings
    saved = False
    head: JointHead | None

    def __init__(self, settings: DistilSettings, form: Form, memory: Tensor):
        super().__init__()
        self.settings = settings
        # a list, as a buffer would be sent from process to process
        self.memory = [memory]
        members, dim, _ = memory.shape
        self.head = JointHead(form.feature_dim, members * dim) if settings.relation_weight else None

    def forward(self, features: Tensor, logits: Tensor, batch: Batch) -> TermLoss:
        """See `Term`; `teachers` holds `Taught`. Parts: `relation`, unless its weight is 0, and `imitation`."""
        settings, taught = self.settings, batch.inputs["teachers"]
        imitation = softened_divergence(logits, taught.logits, settings.temperature)
        if self.head is None:
            return TermLoss(settings.logit_weight * imitation, {"imitation": imitation})
        z = self.head(features)
        teachers = taught.features.transpose(0, 1)
        with exact(z.device):
            (memory,) = self.memory
            near = min(settings.topk, memory.shape[2])
            relation = relational(z[None], teachers, memory, settings.relation_temperature, near)[0]
        total = settings.relation_weight * relation + settings.logit_weight * imitation
        return TermLoss(total, {"relation": relation, "imitation": imitation})


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ)), mean over clips; logits (B, C) both."""
    dtype = torch.promote_types(student.dtype, torch.float32)
    own = F.log_softmax(student.to(dtype) / temperature, 1)
    theirs = F.log_softmax(teacher.to(dtype) / temperature, 1)
    return temperature**2 * F.kl_div(own, theirs, reduction="batchmean", log_target=True)
