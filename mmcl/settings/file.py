"""config.yaml as a whole."""

from typing import Annotated

from pydantic import Field, Strict

from mmcl.settings.base import Name
from mmcl.settings.benchmark import CommonSections
from mmcl.settings.demo import DemoWeightsSettings
from mmcl.settings.merging import Plain
from mmcl.settings.protocol import Rule
from mmcl.settings.video import VideoSettings

OVERRIDDEN = tuple(name for name in CommonSections.model_fields if name != "recipe")
"""Top-level sections that a benchmark may override."""


class ConfigFile(CommonSections):
    """The user's file: the common sections are checked here, data sets and benchmarks when they are resolved."""

    datasets: Annotated[dict[Name, Plain], Field(min_length=1)] = Field(
        description="Name of a data set → where it lies and how it is read."
    )
    benchmarks: Annotated[dict[Name, Plain], Field(min_length=1)] = Field(
        description="Name of a benchmark → data set, protocol and what it overrides."
    )
    protocols: dict[Name, Rule] = Field(
        {}, description="Your own protocols beside those in resources/protocols.json."
    )
    video: VideoSettings = Field(
        VideoSettings(), description="From videos to person crops, and to montages of them."
    )
    # --config tensorboard=true comes as a text
    tensorboard: Annotated[bool, Strict(False)] = Field(
        False,
        description="Whether trainings write event files for TensorBoard beside history.csv. It changes no result, and "
        "makes none anew.",
    )
    demo_weights: DemoWeightsSettings = Field(
        DemoWeightsSettings(),
        description="How the demo's small networks are trained (rules train_demo_*, run by hand).",
    )
