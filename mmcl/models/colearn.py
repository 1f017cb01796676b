"""Multi-modality co-learning: a backbone that learns with pictures and answers and runs without (MMCL)."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.models.cnn import CNN
from mmcl.models.fam import FAM
from mmcl.models.frm import FRM


class Losses(NamedTuple):
    """The parts of the loss (scalars) and the logits they came from (N, C)."""

    total: Tensor
    cls: Tensor
    fam: Tensor
    frm: Tensor
    aux: Tensor
    relation: Tensor
    imitation: Tensor
    logits: Tensor


class CoLearner(nn.Module):
    """Backbone, FAM and FRM. Called like the backbone, it is the backbone.

    Args:
        backbone: a network of `build_backbone`.
        fam: Feature Alignment Module, or None.
        frm: Feature Refinement Module, or None.
        cnn: a CNN that is trained along, pictures uint8 (N, H, W, 3) -> (N, feature_dim); None when its features
            are computed beforehand.
        fam_weight: λ1.
        frm_weight: λ2.
        label_smoothing: of the classification loss; FRM's cross-entropy is as in equation 9.

    Attributes:
        distil: losses of a student, `mmcl.training.distil.Distillation`, while it learns from an ensemble; None.
    """

    def __init__(
        self,
        backbone: Backbone,
        fam: FAM | None = None,
        frm: FRM | None = None,
        cnn: CNN | None = None,
        fam_weight: float = 0.1,
        frm_weight: float = 0.2,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.backbone = backbone
        self.fam = fam
        self.frm = frm
        self.cnn = cnn
        self.fam_weight = fam_weight
        self.frm_weight = frm_weight
        self.label_smoothing = label_smoothing
        self.distil: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, 3, T, V, M) -> logits (N, C), from the skeleton alone."""
        return self.backbone(x)

    def refined(self, logits: Tensor, answer: Tensor) -> Tensor:
        """Logits S_M (N, C) and answer features (N, D) -> S_R (N, C), for clips that have a picture.

        Raises:
            UserError: the model has no FRM.
        """
        if self.frm is None:
            raise UserError("this model was trained without FRM: it has no refined scores")
        return self.frm.refine(logits, answer)

    def losses(
        self,
        x: Tensor,
        labels: Tensor,
        picture: Tensor | None = None,
        has_picture: Tensor | None = None,
        answer: Tensor | None = None,
        has_answer: Tensor | None = None,
        taught: Any = None,
    ) -> Losses:
        """Equation 10: L = CE(S_M) + λ1 · FAM + λ2 · FRM, and what the backbone's own method and teachers add.

        Args:
            x: clips (N, 3, T, V, M).
            labels: (N) int64.
            picture: CNN features (N, D), or with a CNN trained along the pictures uint8 (N, H, W, 3).
            has_picture: (N) bool.
            answer: answer features (N, D).
            has_answer: (N) bool.
            taught: what teachers say of the clips, for `distil`.
        """
        features = self.backbone.features(x)
        logits = self.backbone.classify(features)
        total = cls = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        fam = frm = aux = relation = imitation = cls.new_zeros(())
        if self.fam is not None and picture is not None and has_picture is not None:
            fam = self.fam(features, *self._picture_features(picture, has_picture))
            total = total + self.fam_weight * fam
        if self.frm is not None and answer is not None and has_answer is not None:
            frm = self.frm(logits, answer, labels, has_answer)
            total = total + self.frm_weight * frm
        own = self.backbone.auxiliary_loss(features, labels)
        if own is not None:
            aux = own
            total = total + aux
        if self.distil is not None and taught is not None:
            weighted, relation, imitation = self.distil(features, logits, taught)
            total = total + weighted
        return Losses(total, cls, fam, frm, aux, relation, imitation, logits)

    def _picture_features(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """CNN features (N, D), zeros where there is no picture, so that none enters its batch norms; and mask (N)."""
        if self.cnn is None:
            return picture, mask
        # one picture cannot be normalised over a batch, and FAM needs two
        if int(mask.sum()) < 2:
            nothing = torch.zeros(len(mask), self.cnn.feature_dim, device=mask.device)
            return nothing, torch.zeros_like(mask)
        found = self.cnn(picture[mask])
        return found.new_zeros(len(mask), found.shape[1]).index_put((mask,), found), mask

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model; a CNN other than the released one has none."""
        names: dict[str, list[str]] = {}
        for part in ("backbone", "fam", "frm", "cnn"):
            module = getattr(self, part)
            if hasattr(module, "reference_names"):
                names |= {f"{part}.{ours}": theirs for ours, theirs in module.reference_names().items()}
        return names

    def reference_aliases(self) -> dict[str, str]:
        """See `Backbone`."""
        return self.backbone.reference_aliases()

    def reference_constants(self) -> dict[str, Tensor]:
        """See `Backbone`."""
        return self.backbone.reference_constants()


def build_model(
    settings: dict,
    *,
    num_classes: int,
    layout: str,
    persons: int,
    picture_dim: int | None = None,
    answer_dim: int | None = None,
    cnn: CNN | None = None,
    label_smoothing: float = 0.0,
) -> CoLearner:
    """Build what `model` in the config describes.

    Args:
        settings: the `model` section.
        num_classes: classes.
        layout: joint layout.
        persons: persons per clip.
        picture_dim: width of the CNN's features; None without FAM.
        answer_dim: width of the answer's features; None without FRM.
        cnn: the CNN, if it is trained along.
        label_smoothing: of the classification loss in training.
    """
    name = settings["backbone"]
    # models trained before there were options say nothing of them
    options = settings.get("options", {}).get(name, {})
    backbone = build_backbone(
        name, num_classes, layout, persons, settings["graph"], 3, settings["width"], **options
    )
    fam = frm = None
    align, refine = settings["fam"], settings["frm"]
    if picture_dim is not None:
        fam = FAM(
            picture_dim,
            backbone.feature_dim,
            align["hidden"],
            align["temperature"],
            align["loss"],
            chunk=align.get("chunk"),
            gather=align.get("gather", False),
        )
    if answer_dim is not None:
        frm = FRM(
            num_classes,
            answer_dim,
            refine["n"],
            refine["hidden"],
            refine["matrices"],
            normalise=refine["input"] in ("hidden", "shuffled"),
            detach=refine["detach"],
        )
    weights = align.get("weight", 0.1), refine.get("weight", 0.2)
    return CoLearner(backbone, fam, frm, cnn, *weights, label_smoothing=label_smoothing)
