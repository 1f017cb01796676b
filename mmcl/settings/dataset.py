"""Data sets: where they lie and how they are read."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from mmcl.settings import tables
from mmcl.settings.base import Items, Options, Pair, Place, Section, Seed, of_table
from mmcl.settings.choices import ReaderName
from mmcl.settings.video import PoseSection, VideoSettings

Threads = Annotated[
    int, Field(ge=1, description="Cores of one heavy job. Never part of a result's settings.")
]


class DrawnSettings(Section):
    """This data set is drawn by the project itself, by the rule draw_demo, into results/demo/raw/<name>."""

    form: Literal["ntu", "utd_mhad"] = Field(description="In whose file form the recordings are written.")
    seed: Seed = Field(2024, description="Seed of everything drawn.")
    actions: Items[Literal[1, 2, 8, 9, 23, 28, 29, 50, 58, 63, 80, 96]] = Field(
        min_length=1, description="NTU action numbers to draw."
    )
    subjects: Items[Annotated[int, Field(ge=1, le=999)]] = Field(
        min_length=1, description="Subject numbers; a number determines body, clothes and motion style."
    )
    cameras: Items[Literal[1, 2, 3]] = Field(
        (1, 2), min_length=1, description="Camera numbers (1 frontal, 2 and 3 from the sides)."
    )
    trials: int = Field(1, ge=1, le=99, description="Repetitions of each action by each subject.")
    frames: Pair[Annotated[int, Field(ge=5)]] = Field(
        (40, 56), description="Shortest and longest clip in frames, at 30 per second."
    )
    size: Pair[Annotated[int, Field(ge=64)]] = Field(
        (480, 270), description="Width and height of the videos in pixels."
    )
    damaged: bool = Field(
        False, description="Whether to add a few damaged recordings, each broken in another way."
    )


class ReaderSettings(Section):
    """Which reader understands a data set's files, and its options."""

    reader: ReaderName = Field(description="Which reader understands the files.")
    options: SerializeAsAny[Options] = Field(
        Options(), description="What this reader alone takes; each reader refuses what is not its own."
    )

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_reader(cls, stated: Any) -> Any:
        if not isinstance(stated, dict) or not isinstance(stated.get("reader"), str):
            return stated
        name = stated["reader"]
        if name not in tables.READERS:
            return {**stated, "options": Options()}  # the reader's own error is enough
        options = of_table(name, stated.get("options") or {}, tables.READERS, "Options", ("options",))
        return {**stated, "options": options}


class RecordingsSettings(ReaderSettings):
    """A data set on disk."""

    skeletons: Place | None = Field(
        None,
        description="Folder of the skeleton files, sub-folders included; null until you have the data.",
    )
    videos: Place | None = Field(
        None, description="Folder of the videos, sub-folders included; null for a data set without."
    )


class DatasetSettings(RecordingsSettings):
    """A data set: where it lies and how it is read."""

    shards: int = Field(1, ge=1, le=999, description="Into how many jobs and files the video stages are cut.")
    threads: Threads = 8
    drawn: DrawnSettings | None = Field(
        None, description="This data set is drawn by the project itself, by the rule draw_demo."
    )
    poses: PoseSection | None = Field(
        None,
        description="This data set has no skeletons; a pose estimator finds COCO's 17 joints in its videos "
        "(reader own).",
    )
    video: VideoSettings = Field(
        VideoSettings(), description="From videos to person crops, and to montages of them."
    )

    @model_validator(mode="after")
    def _poses_make_the_skeletons(self) -> "DatasetSettings":
        if self.poses is None:
            return self
        if self.skeletons:
            raise ValueError("poses: makes the skeletons, so set skeletons to null")
        if self.reader not in tables.LISTED:
            readers = " or ".join(tables.LISTED)
            raise ValueError(f"poses: goes with reader {readers}, which lists clips without skeleton files")
        return self
