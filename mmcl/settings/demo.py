"""The demo's small networks: what they are trained on, and how."""

from typing import Annotated

from pydantic import Field

from mmcl.settings.base import AtLeastZero, Count, Pair, Positive, Probability, Section, Seed, Text
from mmcl.settings.training import PRECISION, AdamWSettings, Below1, Precision


class PicturesSettings(Section):
    """Drawn training pictures."""

    seed: Seed = Field(4100, description="Seed of everything drawn.")
    subjects: Pair[Count] = Field((101, 160), description="First and last subject that is drawn.")
    repeats: Count = Field(4, description="Clips of each action by each subject.")
    frames: Pair[Annotated[int, Field(ge=5)]] = Field(
        (36, 60), description="Shortest and longest clip in frames."
    )
    size: Pair[Annotated[int, Field(ge=64)]] = Field(
        (480, 270), description="Width and height of frames in pixels."
    )
    utd_share: Probability = Field(
        0.15,
        description="Share of the clips that have UTD-MHAD's bodies and camera, of the actions that it has.",
    )
    box_jitter: AtLeastZero = Field(
        0.05,
        description="Scatter of a crop's edges, twice the standard deviation as a part of the box's side.",
    )
    batch: Count = Field(48, description="Clips per batch; a killed job loses at most one.")


class NetworkTraining(AdamWSettings):
    """Training of one of the demo's networks."""

    image_size: int = Field(
        320, ge=32, description="Longer side of the picture that the network sees, in pixels."
    )


class CnnDemoSettings(NetworkTraining):
    """A classifier of the object that is held."""

    architecture: Text = Field("shufflenet_v2_x0_5", description="A classifier of torchvision.models.")
    image_size: int = Field(240, ge=32, description="Side of the picture that the network sees, in pixels.")
    epochs: Count = Field(12, description="Passes over the training pictures.")
    batch: int = Field(48, ge=2, description="Pictures per step.")
    weight_decay: AtLeastZero = Field(0.02, description="On matrices.")
    label_smoothing: Below1 = Field(0.05, description="Of the classification loss.")


class YoloDemoSettings(NetworkTraining):
    """A network of ultralytics."""

    architecture: Text = Field("yolov5n", description="Its architecture.")
    frames_per_clip: Positive = Field(2.0, le=5, description="Frames of each clip that are used, on average.")
    epochs: Count = Field(3, description="Passes over the training pictures.")
    learning_rate: Positive = Field(0.002, description="Of AdamW.")
    weight_decay: AtLeastZero = Field(0.0005, description="On matrices.")
    warmup_epochs: AtLeastZero = Field(0.5, description="Epochs of linear warm-up before the cosine.")
    precision: Precision = Field("bf16", description=PRECISION)


class PoseDemoSettings(YoloDemoSettings):
    """The detector with a head for keypoints."""

    architecture: Text = Field("yolov5n-pose", description="Its architecture.")
    frames_per_clip: Positive = Field(1.6, le=5, description="Frames of each clip that are used, on average.")
    warmup_epochs: AtLeastZero = Field(0.2, description="Epochs of linear warm-up before the cosine.")


class VlmDemoSettings(NetworkTraining):
    """A small BLIP."""

    image_size: int = Field(240, ge=32, description="Side of the picture that the network sees, in pixels.")
    patch_size: Count = Field(16, description="Side of a patch in pixels.")
    hidden: int = Field(128, ge=32, multiple_of=32, description="Width of both transformers.")
    vision_layers: Count = Field(4, description="Layers of the vision encoder.")
    text_layers: Count = Field(2, description="Layers of the question encoder, and of the answer decoder.")
    epochs: Count = Field(18, description="Passes over the training pictures.")
    batch: int = Field(48, ge=2, description="Pictures per step.")
    learning_rate: Positive = Field(0.001, description="Of AdamW.")
    patch_loss: AtLeastZero = Field(1.0, description="Weight of naming the object in each patch.")
    action_loss: AtLeastZero = Field(0.3, description="Weight of naming the action.")
    strange_words: Probability = Field(0.3, description="Probability that a question gets made-up words.")
    precision: Precision = Field("bf16", description=PRECISION)


class DemoWeightsSettings(Section):
    """How the demo's small networks are trained, by hand."""

    seed: Seed = Field(0, description="Of the trainings; it is added to the pictures' seeds.")
    train: PicturesSettings = Field(PicturesSettings(), description="Pictures of the subjects that train.")
    held_out: PicturesSettings = Field(
        PicturesSettings(subjects=(91, 99), repeats=2), description="Pictures of the subjects that measure."
    )
    cnn: CnnDemoSettings = Field(CnnDemoSettings(), description="A classifier of the object that is held.")
    detector: YoloDemoSettings = Field(YoloDemoSettings(), description="The person detector.")
    pose: PoseDemoSettings = Field(PoseDemoSettings(), description="The detector with a head for keypoints.")
    vlm: VlmDemoSettings = Field(VlmDemoSettings(), description="A small BLIP.")
