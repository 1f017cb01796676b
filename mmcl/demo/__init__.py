"""The drawn demo: articulated people animated, rendered to video and written as Kinect recordings."""

from typing import Any

_HOMES = {"draw_clip": "mmcl.demo.draw", "DrawnClip": "mmcl.demo.draw", "draw_dataset": "mmcl.demo.dataset"}


def __getattr__(name: str) -> Any:
    # Lazy, so that importing a neighbour of the drawing code stays quick.
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
