"""Backbones by name. A new one is a file in this folder and a line in BACKBONES.

Light to import: the configuration's schema asks which backbones there are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmcl.errors import UserError

if TYPE_CHECKING:
    from mmcl.models.backbone import Backbone

BACKBONES = {
    "ctrgcn": "mmcl.models.ctrgcn:CTRGCN",
    "ctrs": "mmcl.models.ctrs:CTRS",
    "hdgcn": "mmcl.models.hdgcn:HDGCN",
    "infogcn": "mmcl.models.infogcn:InfoGCN",
    "stgcn": "mmcl.models.stgcn:STGCN",
    "stgcn16": "mmcl.models.stgcn:STGCN16",
}

GRAPHS = {
    "ctrs": ("natural",),
    "hdgcn": ("hd21", "hd1", "hd2"),
    "infogcn": ("natural",),
    "stgcn": ("natural",),
    "stgcn16": ("natural",),
}
"""The graphs that a backbone can start from, its default first, where not all from `natural` on."""


OPTIONS = {"infogcn": ("k", "noise")}
"""What a backbone takes beside the arguments common to all: `model.options` in the configuration."""


def default_graph(name: str) -> str:
    """The graph that a backbone starts from unless told otherwise."""
    return GRAPHS.get(name, ("natural",))[0]


def build_backbone(
    name: str,
    num_classes: int,
    layout: str = "ntu25",
    persons: int = 2,
    graph: str = "natural",
    in_channels: int = 3,
    width: float = 1.0,
    **options: Any,
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
        options: what this backbone alone takes, see OPTIONS and its class.

    Returns:
        A network: `net(x)`: clips (N, C, T, V, M) -> logits (N, num_classes).

    Raises:
        UserError: no such backbone, layout, graph or option.
    """
    if name not in BACKBONES:
        raise UserError(f"no backbone {name!r}; there are: {', '.join(BACKBONES)}")
    own = OPTIONS.get(name, ())
    if unknown := [option for option in options if option not in own]:
        has = f"it has: {', '.join(own)}" if own else "it has none"
        raise UserError(f"{name} has no option {', '.join(unknown)}; {has}")
    module, _, cls = BACKBONES[name].partition(":")
    return getattr(import_module(module), cls)(
        num_classes, layout, persons, graph, in_channels, width, **options
    )
