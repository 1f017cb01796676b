"""Skeletons: clean-up, joint maps, streams and transforms."""

from mmcl.skeleton.streams import to_stream

__all__ = ["to_stream"]
