"""Skeletons: clean-up, joint maps, streams and transforms."""

from typing import Any

__all__ = ["to_stream"]


def __getattr__(name: str) -> Any:
    # clean-up and joint maps need no torch; the processes that prepare skeletons should not load it
    if name == "to_stream":
        from mmcl.skeleton.streams import to_stream

        return to_stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
