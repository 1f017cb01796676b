"""The loss that a backbone's own method adds to the classification, such as InfoGCN's."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from mmcl.colearn.term import Batch, Term
from mmcl.models.backbone import Backbone
from mmcl.settings.base import Section


class Auxiliary(Term):
    """A backbone's `auxiliary_loss` as a term.

    Args:
        loss: the method of the backbone.
    """

    name = "aux"
    Settings: ClassVar[type[Section]] = Section

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.of_backbone = loss

    def loss(self, features: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """See `Term`."""
        return self.of_backbone(features, batch.labels)


def auxiliary_of(backbone: Backbone) -> Auxiliary | None:
    """The term of a backbone whose method has one."""
    has_one = type(backbone).auxiliary_loss is not Backbone.auxiliary_loss
    return Auxiliary(backbone.auxiliary_loss) if has_one else None
