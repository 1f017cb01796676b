"""From videos to person crops, and to montages of them."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from mmcl.settings import tables
from mmcl.settings.base import OFF, Count, Options, Probability, Section, Sha256, Text, with_options
from mmcl.settings.choices import Architecture, PoseArchitecture


class NetworkSettings(Section):
    """A network that finds people in pictures."""

    weights: Text = Field(
        description="File with its weights (.pt of ultralytics, .safetensors, or a plain state dict)."
    )
    sha256: Sha256 | None = Field(None, description="sha256 of the weights in hex; null accepts any file.")
    image_size: int = Field(
        640,
        ge=64,
        multiple_of=32,
        description="Longer side of the picture the network sees, in pixels; a multiple of 32.",
    )
    confidence: Probability = Field(0.25, description="Least confidence of a person.")


class DetectorSettings(NetworkSettings):
    """The person detector."""

    architecture: Architecture = Field(
        "yolov5m",
        description="Network. Of YOLOv5 the weights file says which form it is: the classic one with anchors (releases "
        "5.0 to 7.0), or the anchor-free one that the ultralytics package builds.",
    )
    weights: Text = Field(
        "weights/yolov5m.pt",
        description="File with its weights (.pt of YOLOv5 or ultralytics, .safetensors, or a plain state dict).",
    )
    classes: Count = Field(
        80, description="Number of classes of the network (80 for COCO); class 0 is the person."
    )
    iou: Probability = Field(0.45, description="Overlap above which two boxes are one person.")
    options: Annotated[SerializeAsAny[Options], OFF] = Field(
        Options(), description="What this detector alone takes."
    )

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_detector(cls, stated: Any) -> Any:
        return with_options(
            stated, "architecture", cls.model_fields["architecture"].default, tables.DETECTORS
        )


class PoseSettings(NetworkSettings):
    """This data set has no skeletons; a pose estimator finds COCO's 17 joints in its videos (reader own)."""

    architecture: PoseArchitecture = Field(
        "yolov8n-pose",
        description="Network, as the ultralytics package builds it; yolov5n-pose is its YOLOv5n with a head for "
        "joints.",
    )
    iou: Probability = Field(0.7, description="Overlap above which two boxes are one person.")
    every: Count = Field(
        1, description="Look at every n-th frame; the skeletons have as many frames as are looked at."
    )
    batch: Count = Field(16, description="Clips per batch; a killed job loses at most one.")


class PoseSection(PoseSettings):
    """A pose estimator, and which of its joints are used."""

    joint_confidence: Probability = Field(
        0.3, description="A joint below this confidence is interpolated in time."
    )


class MontageSettings(Section):
    """Five crops side by side."""

    size: int = Field(
        480, ge=50, multiple_of=5, description="Width and height of the picture in pixels; a multiple of 5."
    )
    keep_aspect: bool = Field(
        False, description="Keep each crop's proportions on black instead of stretching it."
    )


class CropSettings(Section):
    """From videos to person crops."""

    boxes: Literal["detector", "projected_joints", "whole_frame"] = Field(
        "detector",
        description="Where person boxes come from; projected_joints needs a data set with known camera geometry.",
    )
    detector: DetectorSettings = Field(DetectorSettings(), description="The person detector.")
    people: Literal["by_action", "label_free"] = Field(
        "by_action",
        description="Most confident person, and the union of two in two-person classes (by_action, needs the "
        "label); or the union of at most two (label_free).",
    )
    frames: Literal["chosen", "all", "segment_centre"] = Field(
        "chosen",
        description="Choose five frames and detect there (chosen, segment_centre), or detect everywhere and choose "
        "among frames with a person (all).",
    )
    count: Literal[5] = Field(5, description="Frames per clip.")
    margin: Probability = Field(
        0.1,
        description="Room around projected joints, as a part of the box's longer side (joints are inside the body).",
    )
    jpeg_quality: int = Field(95, ge=50, le=100, description="Quality of stored crops and pictures.")
    batch: Count = Field(16, description="Clips per batch; a killed job loses at most two.")


class VideoSettings(CropSettings):
    """From videos to person crops to montages of five frames."""

    montage: MontageSettings = Field(MontageSettings(), description="Five crops side by side.")
