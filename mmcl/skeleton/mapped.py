"""TEMPORARY-BRIDGE: moved to `mmcl.datasets.mapped`."""

from mmcl.datasets.mapped import MappedStore, seen_as

__all__ = ["MappedStore", "seen_as"]
