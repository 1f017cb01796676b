"""Backbones by name: each is a file in this folder and a line in `BACKBONES` of `mmcl.settings.tables`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmcl.settings.explain import validated
from mmcl.settings.tables import BACKBONES, resolve

if TYPE_CHECKING:
    from mmcl.models.backbone import Backbone


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
        name: a key of `mmcl.settings.tables.BACKBONES`.
        num_classes: C.
        layout: name of the joint layout.
        persons: persons per clip.
        graph: `natural | hd1 | hd2 | hd21`.
        in_channels: channels per joint.
        width: factor on the number of channels.
        options: what this backbone alone takes, validated by its `Options`.

    Returns:
        A network: `net(x)`: clips (N, in_channels, T, V, M) -> logits (N, num_classes).

    Raises:
        UserError: no such backbone, layout, graph or option.
    """
    paths = {known: entry.path for known, entry in BACKBONES.items()}
    cls: type[Backbone] = resolve(paths, name, "backbone")
    own = validated(cls.Options, options, name)
    build: Callable[..., Backbone] = cls
    more = {option: getattr(own, option) for option in cls.Options.model_fields}
    return build(num_classes, layout, persons, graph, in_channels, width, **more)
