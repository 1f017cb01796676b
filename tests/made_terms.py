"""Co-learning terms of small sizes, and batches for them."""

from typing import Any

import torch
from torch import Tensor

from mmcl.colearn.fam import Alignment
from mmcl.colearn.frm import Refinement
from mmcl.colearn.inputs import Masked
from mmcl.colearn.term import Batch, Form
from mmcl.settings.model import FamSettings, FrmSettings


def fam(width: int, feature_dim: int, cnn: torch.nn.Module | None = None, **settings: Any) -> Alignment:
    """FAM for pictures of `width` numbers."""
    networks = {} if cnn is None else {"picture": cnn}
    form = Form(num_classes=2, feature_dim=feature_dim, shapes={"picture": (width,)}, networks=networks)
    return Alignment(FamSettings.model_validate(settings), form)


def frm(classes: int, width: int, **settings: Any) -> Refinement:
    """FRM for answers of `width` numbers, which it reads as they are unless `input` is stated."""
    form = Form(num_classes=classes, feature_dim=1, shapes={"answer": (width,)})
    return Refinement(FrmSettings.model_validate({"input": "answer_ids", **settings}), form)


def batch(
    x: Tensor,
    labels: Tensor,
    picture: Tensor | None = None,
    has_picture: Tensor | None = None,
    answer: Tensor | None = None,
    has_answer: Tensor | None = None,
) -> Batch:
    """Clips with pictures and answers; all have one unless a mask is given."""
    inputs = {}
    for name, values, mask in (("picture", picture, has_picture), ("answer", answer, has_answer)):
        if values is not None:
            inputs[name] = Masked(values, torch.ones(len(values), dtype=torch.bool) if mask is None else mask)
    return Batch(x, labels, inputs)
