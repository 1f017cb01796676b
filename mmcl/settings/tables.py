"""What can be chosen by name: one line for each reader, backbone, adapter, detector, feeder and co-learning term.

The names are what the configuration allows; the values are where the code is, as `module:attribute`. They are
here, below all rooms, so that the configuration is checked without importing torch; `resolve` imports one.
"""

from pkgutil import resolve_name
from typing import Any, NamedTuple

from mmcl.errors import UserError, known

READERS = {
    "ntu": "mmcl.datasets.ntu:NtuReader",
    "nw_ucla": "mmcl.datasets.nw_ucla:NwUclaReader",
    "sysu": "mmcl.datasets.sysu:SysuReader",
    "own": "mmcl.datasets.own:OwnReader",
    "utd_mhad": "mmcl.datasets.utd_mhad:UtdMhadReader",
    "ctr_npz": "mmcl.exchange.npz:CtrNpzReader",
    "pyskl": "mmcl.exchange.pyskl:PysklReader",
    "crosclr": "mmcl.exchange.crosclr:CrosclrReader",
}
"""`datasets.<name>.reader` → a class with the protocol `mmcl.datasets.clip.Reader`."""


LISTED = ("own",)
"""Readers that take their clips from a list, and so do without a folder of skeletons where there are videos."""


class BackboneEntry(NamedTuple):
    """Where a backbone is, and the graphs that it can start from, its default first."""

    path: str
    graphs: tuple[str, ...] = ("natural",)


BACKBONES = {
    "ctrgcn": BackboneEntry("mmcl.models.ctrgcn:CTRGCN", ("natural", "hd1", "hd2", "hd21")),
    "ctrs": BackboneEntry("mmcl.models.ctrs:CTRS"),
    "hdgcn": BackboneEntry("mmcl.models.hdgcn:HDGCN", ("hd21", "hd1", "hd2")),
    "infogcn": BackboneEntry("mmcl.models.infogcn:InfoGCN"),
    "stgcn": BackboneEntry("mmcl.models.stgcn:STGCN"),
    "stgcn16": BackboneEntry("mmcl.models.stgcn:STGCN16"),
}
"""`model.backbone` → a subclass of `mmcl.models.backbone.Backbone`."""

ADAPTERS = {
    "blip": "mmcl.vlm.blip:Blip",
    "imported": "mmcl.vlm.imported:Imported",
    "image_text": "mmcl.vlm.image_text:ImageText",
}
"""`vlm.adapter` → a class with the protocol `mmcl.vlm.protocol.VisionLanguageModel`."""
IMPORTED = "imported"
"""The adapter that runs no model: its answers were made elsewhere, see `mmcl.vlm.imported`."""

DETECTORS = {f"yolov5{size}": "mmcl.video.detect:Yolov5" for size in "nsmlx"}
"""`video.detector.architecture` → a class with the protocol `mmcl.video.detect.Detector`."""

ESTIMATORS = {
    "yolov5n-pose": "mmcl.video.pose:YoloPose",
    **{f"yolov8{size}-pose": "mmcl.video.pose:YoloPose" for size in "nsmlx"},
    **{f"yolo11{size}-pose": "mmcl.video.pose:YoloPose" for size in "nsmlx"},
}
"""`datasets.<name>.poses.architecture` → a class with the protocol `mmcl.video.pose.Estimator`."""

FEEDERS = {
    "resize": "mmcl.training.feeders:Resize",
    "ucla": "mmcl.training.feeders:Ucla",
}
"""`train.feeder` → a class with the protocol `mmcl.training.feeders.Feeder`."""

TERMS = {
    "fam": "mmcl.colearn.fam:Alignment",
    "frm": "mmcl.colearn.frm:Refinement",
    "distil": "mmcl.colearn.distil:Distillation",
}
"""Name of a co-learning term → a subclass of `mmcl.colearn.term.Term`."""
TERMS_WITH_SECTION = ("fam", "frm", "distil")
"""Terms whose settings are `model.fam`, `model.frm` and `train.distil`; those of all others are in `model.terms`."""

GRAPHS = ("natural", "hd1", "hd2", "hd21")
"""Adjacencies that a backbone may start from."""
STREAMS = {
    "joint": "mmcl.skeleton.streams:JOINT",
    "joint_motion": "mmcl.skeleton.streams:JOINT_MOTION",
    "bone": "mmcl.skeleton.streams:BONE",
    "bone_motion": "mmcl.skeleton.streams:BONE_MOTION",
    "acceleration": "mmcl.skeleton.streams:ACCELERATION",
    "rotation_axis": "mmcl.skeleton.streams:ROTATION_AXIS",
    "angular_velocity": "mmcl.skeleton.streams:ANGULAR_VELOCITY",
}
"""What of the skeleton a network sees → a `mmcl.skeleton.streams.Stream` of convention `ctr`."""


def default_graph(backbone: str) -> str:
    """The graph that a backbone starts from unless another is named."""
    return BACKBONES[backbone].graphs[0] if backbone in BACKBONES else GRAPHS[0]


def resolve(table: dict[str, str], name: str, what: str) -> Any:
    """The class that a table names.

    Args:
        table: one of this module's.
        name: a key of it.
        what: what it is, for the message.

    Raises:
        UserError: the table has no such name.
    """
    if name not in table:
        raise UserError(f"no {what} {name!r}{known(name, table)}")
    return resolve_name(table[name])
