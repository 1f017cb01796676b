"""Backbones by name. A new one is a file in this folder and a line in BACKBONES.

Light to import: the configuration's schema asks which backbones there are.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mmcl.errors import UserError

if TYPE_CHECKING:
    from mmcl.models.backbone import Backbone

BACKBONES = {
    "ctrgcn": "mmcl.models.ctrgcn:CTRGCN",
}


def build_backbone(
    name: str,
    num_classes: int,
    layout: str = "ntu25",
    persons: int = 2,
    graph: str = "natural",
    in_channels: int = 3,
    width: float = 1.0,
) -> "Backbone":
    """Build a skeleton classifier.

    Args:
        name: a key of BACKBONES.
        num_classes: classes.
        layout: name of the joint layout.
        persons: persons per clip.
        graph: `natural | hd1 | hd2 | hd21`.
        in_channels: channels per joint.
        width: factor on the number of channels.

    Returns:
        A network: `net(x)`: clips (N, C, T, V, M) -> logits (N, num_classes).

    Raises:
        UserError: no such backbone, layout or graph.
    """
    if name not in BACKBONES:
        raise UserError(f"no backbone {name!r}; there are: {', '.join(BACKBONES)}")
    module, _, cls = BACKBONES[name].partition(":")
    return getattr(import_module(module), cls)(num_classes, layout, persons, graph, in_channels, width)
