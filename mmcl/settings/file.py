"""config.yaml as a whole."""

from typing import Annotated, Any

from pydantic import Field

from mmcl.settings.base import Name, Question, Section
from mmcl.settings.benchmark import EnsembleSettings, Seeds, ZeroShotSettings
from mmcl.settings.demo import DemoWeightsSettings
from mmcl.settings.model import ModelSettings
from mmcl.settings.protocol import Rule
from mmcl.settings.selfsup import SelfsupSettings
from mmcl.settings.training import TrainSettings
from mmcl.settings.video import VideoSettings
from mmcl.settings.vlm import VlmSection

OVERRIDDEN = ("instruction", "vlm", "model", "train", "ensemble", "zero_shot", "selfsup", "seeds")
"""Top-level sections that a benchmark may override."""

Plain = dict[str, Any]


class ConfigFile(Section):
    """The user's file: the common sections are checked here, data sets and benchmarks when they are resolved."""

    instruction: Question = Field(description="The question put to the vision-language model; one line.")
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
        VideoSettings(), description="From videos to person crops to montages of five frames."
    )
    vlm: VlmSection = Field(VlmSection(), description="The vision-language model that answers the question.")
    model: ModelSettings = Field(
        ModelSettings(), description="Skeleton network and what it is trained together with."
    )
    train: TrainSettings = Field(TrainSettings(), description="Training of one stream.")
    ensemble: EnsembleSettings = Field(
        EnsembleSettings(), description="Which streams are trained and how their scores are added."
    )
    zero_shot: ZeroShotSettings = Field(
        ZeroShotSettings(), description="Data sets the trained models are evaluated on as they are."
    )
    selfsup: SelfsupSettings = Field(
        SelfsupSettings(),
        description="Pre-training of skeleton encoders without labels, and their distillation (IKEM).",
    )
    seeds: Seeds = (1,)
    recipe: str = Field(
        "none",
        description="A file in resources/recipes whose settings are the defaults of keys that are not written "
        "here; none "
        "for the models' own. At the top level for everything, in a benchmark for its sections but not for the "
        "stores it "
        "shares.",
    )
    demo_weights: DemoWeightsSettings = Field(
        DemoWeightsSettings(),
        description="How the demo's small networks are trained (rules train_demo_*, run by hand).",
    )
