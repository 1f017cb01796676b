"""Multi-modality co-learning: a backbone that is trained with pictures and answers and runs without them (MMCL)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.colearn.auxiliary import auxiliary_of
from mmcl.colearn.frm import Refinement
from mmcl.colearn.term import Batch, Form, Term
from mmcl.engine.loop import Losses
from mmcl.errors import UserError, known
from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.settings.model import StreamModelSettings
from mmcl.settings.tables import TERMS, resolve


class CoLearner(nn.Module):
    """A backbone and the terms that are learned beside its classification; its forward pass is the backbone's.

    Args:
        backbone: a network of `build_backbone`.
        terms: each is a module of this one under its own name.
        label_smoothing: of the classification loss; FRM's cross-entropy is as in equation 9.
        class_weights: (C,) of the classification loss, see `class_weights`; None for ones.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        terms: Iterable[Term],
        label_smoothing: float,
        class_weights: Tensor | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)
        for term in terms:
            self.add(term)
        if auxiliary := auxiliary_of(backbone):
            self.add(auxiliary)

    def add(self, term: Term) -> None:
        """Learn another term, after those that are there."""
        self.add_module(term.name, term)

    @property
    def terms(self) -> dict[str, Term]:
        """The terms by name, in the order in which they are added up."""
        return {name: child for name, child in self.named_children() if isinstance(child, Term)}

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, 3, T, V, M) -> logits (N, C), from the skeleton alone."""
        logits: Tensor = self.backbone(x)
        return logits

    @property
    def refinement(self) -> Refinement | None:
        """FRM, if the model was trained with it."""
        term = self.terms.get(Refinement.name)
        return term if isinstance(term, Refinement) else None

    def refined(self, logits: Tensor, answer: Tensor) -> Tensor:
        """Logits S_M (N, C) and answer features (N, D) -> S_R (N, C), for clips that have an answer.

        Raises:
            UserError: the model has no FRM.
        """
        if self.refinement is None:
            raise UserError("this model was trained without FRM: it has no refined scores")
        return self.refinement.refine(logits, answer)

    def losses(self, batch: Batch) -> Losses:
        """Equation 10, L = CE(S_M) + λ1 · FAM + λ2 · FRM, and further terms.

        With class weights w, CE is (1/B) Σ_i w[y_i] · CE_i over the B clips of a batch. It is not divided by the sum of
        the weights, as a batch's classes would then change the weight of a clip.

        The terms of the result are `cls`, the parts of each term before their weights, and `accuracy`.
        """
        features = self.backbone.features(batch.x)
        logits = self.backbone.classify(features)
        smoothing, weights = self.label_smoothing, self.class_weights
        if weights is None:
            total = cls = F.cross_entropy(logits.float(), batch.labels, label_smoothing=smoothing)
        else:
            each = F.cross_entropy(logits.float(), batch.labels, label_smoothing=smoothing, reduction="none")
            total = cls = (weights[batch.labels] * each).mean()
        parts = {"cls": cls}
        for term in self.terms.values():
            weighted, found = term(features, logits, batch)
            total = total + weighted
            parts |= found
        parts["accuracy"] = (logits.argmax(1) == batch.labels).float().mean()
        return Losses(total, parts)

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released MMCL model."""
        parts: dict[str, Backbone | Term] = {"backbone": self.backbone, **self.terms}
        return {
            f"{part}.{ours}": theirs
            for part, module in parts.items()
            for ours, theirs in module.reference_names().items()
        }

    def reference_aliases(self) -> dict[str, str]:
        """See `Backbone`."""
        return self.backbone.reference_aliases()

    def reference_constants(self) -> dict[str, Tensor]:
        """See `Backbone`."""
        return self.backbone.reference_constants()


def class_weights(
    stated: Literal["balanced"] | Mapping[str, float],
    labels: Tensor,
    ids: Sequence[str],
    names: Sequence[str],
) -> Tensor:
    """`train.class_weights` as weights of the C classes.

    Balanced: w_c = N / (C' · n_c) for the n_c of N training clips of class c, over the C' classes that have any; the
    mean weight of a training clip is then 1, so that the learning rate keeps its meaning. A class without a training
    clip has weight 1, which nothing uses.

    Args:
        stated: `balanced`, or class id or name → weight.
        labels: (N,) of the training clips, 0 … C−1.
        ids, names: of the C classes.

    Returns:
        (C,) float32.

    Raises:
        UserError: a class of that id or name is not there, or is stated twice.
    """
    weights = torch.ones(len(ids), device=labels.device)
    if isinstance(stated, str):
        counts = torch.bincount(labels, minlength=len(ids))
        there = counts > 0
        weights[there] = len(labels) / (there.sum() * counts[there])
        return weights
    places: dict[int, str] = {}
    for key, weight in stated.items():
        found = [i for i, both in enumerate(zip(ids, names, strict=True)) if key in both]
        if not found:
            raise UserError(f"train.class_weights: no class {key!r}{known(key, {*ids, *names})}")
        for i in found:
            if i in places:
                raise UserError(f"train.class_weights: {places[i]!r} and {key!r} are one class")
            places[i], weights[i] = key, weight
    return weights


def build_model(
    settings: StreamModelSettings,
    *,
    num_classes: int,
    layout: str,
    persons: int,
    shapes: Mapping[str, tuple[int, ...]],
    label_smoothing: float,
    networks: Mapping[str, nn.Module] | None = None,
    class_weights: Tensor | None = None,
) -> CoLearner:
    """Build the model that `model` in the configuration describes: the backbone first, then the terms in their order.

    Args:
        settings: the `model` section.
        num_classes: C.
        layout: joint layout.
        persons: persons per clip.
        shapes, networks: of the terms' inputs, see `Form`.
        label_smoothing, class_weights: of the classification loss in training.
    """
    options = settings.options.get(settings.backbone)
    backbone = build_backbone(
        settings.backbone,
        num_classes,
        layout,
        persons,
        settings.graph,
        width=settings.width,
        **(options.dump() if options else {}),
    )
    form = Form(num_classes, backbone.feature_dim, shapes, networks or {})
    terms = [resolve(TERMS, name, "term")(own, form) for name, own in settings.enabled_terms.items()]
    return CoLearner(backbone, terms, label_smoothing, class_weights)
