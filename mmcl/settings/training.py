"""How networks are trained: what the training loop reads, and what single trainings add."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmcl.settings.base import (
    OFF,
    AtLeastZero,
    Count,
    Items,
    Pair,
    Positive,
    Probability,
    Section,
    Seed,
    Text,
)
from mmcl.settings.choices import FeederName, Stream

Part = Annotated[float, Field(gt=0, le=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


Precision = Literal["fp32", "tf32", "bf16"]
PRECISION = (
    "Arithmetic of matrix products and convolutions: fp32; tf32, their factors rounded to 10 bits on a GPU, fp32 on a "
    "CPU; bf16, in bfloat16 on both. Weights and the optimizer are fp32 throughout."
)


class SgdSettings(Section):
    """Stochastic gradient descent, and its learning rate over the epochs."""

    epochs: Count = Field(description="Passes over the training clips.")
    batch: int = Field(ge=2, description="Clips per step.")
    learning_rate: Positive = Field(0.1, description="Of SGD.")
    momentum: Below1 = Field(0.9, description="Of SGD.")
    weight_decay: AtLeastZero = Field(description="On all parameters.")
    warmup_epochs: int = Field(0, ge=0, description="Epochs of linear warm-up.")
    schedule: Literal["steps", "cosine"] = Field("steps", description="How the learning rate falls.")
    steps: Items[Count] = Field(description="Epochs after which the learning rate falls.")
    decay: Part = Field(0.1, description="Factor at each step.")
    precision: Precision = Field("tf32", description=PRECISION)


class AdamWSettings(Section):
    """AdamW with a linear warm-up and half a cosine, step by step."""

    epochs: Count = Field(30, description="Passes over the training pictures.")
    batch: int = Field(32, ge=2, description="Pictures per step.")
    learning_rate: Positive = Field(0.003, description="Of AdamW.")
    weight_decay: AtLeastZero = Field(0.05, description="On matrices.")
    warmup_epochs: AtLeastZero = Field(1.0, description="Epochs of linear warm-up before the cosine.")


class InitSettings(Section):
    """The network that a stream begins from."""

    from_: Text = Field(alias="from", description="Benchmark that the network was trained in; needed.")
    what: Literal["pretrain", "student", "stream"] = Field(
        "pretrain",
        description="pretrain and student are encoders that learned without labels; stream is a stream that was "
        "trained with the labels of another data set (MMCL, section 3.5).",
    )
    modality: Stream | None = Field(None, description="What the network sees; null for the stream's own.")


class DistilSettings(Section):
    """The ensemble that a stream learns from, too."""

    from_: Text = Field(alias="from", description="Benchmark with the ensemble; needed.")
    logit_weight: AtLeastZero = Field(
        1.0, description="λ_l of the divergence from the ensemble's softened scores."
    )
    temperature: Positive = Field(4.0, description="τ that softens scores.")
    relation_weight: AtLeastZero = Field(0.1, description="λ_f of the relational loss on features.")
    relation_temperature: Positive = Field(0.07, description="τ of the relational loss.")
    topk: Count = Field(
        2,
        description="Nearest clips by each member that count as positives; a clip is nearest to itself where it is "
        "remembered.",
    )
    memory: Count = Field(
        4096, description="Training clips that the relational loss compares with; all if there are no more."
    )


class TrainSettings(SgdSettings):
    """Training of one stream."""

    epochs: Count = Field(110, description="Passes over the training clips.")
    batch: int = Field(200, ge=2, description="Clips per step.")
    learning_rate: Positive = Field(0.1, description="Of SGD with Nesterov momentum.")
    nesterov: bool = Field(True, description="Nesterov momentum.")
    weight_decay: AtLeastZero = Field(0.0004, description="On all parameters.")
    warmup_epochs: int = Field(5, ge=0, description="Epochs of linear warm-up.")
    steps: Items[Count] = Field((90, 100), description="Epochs after which the learning rate falls.")
    min_rate: Probability = Field(0.0, description="Part of the learning rate that the cosine falls to.")
    label_smoothing: Below1 = Field(0.0, description="Of the classification loss.")
    class_weights: Annotated[
        Literal["balanced"] | Annotated[dict[Text, Positive], Field(min_length=1)] | None, OFF
    ] = Field(
        None,
        description="Weights of the classes in the classification loss, for sets whose classes have uneven numbers of "
        "clips: balanced, in inverse proportion to the training clips of each, or a weight by class id or name, 1 for "
        "the others.",
    )
    feeder: FeederName = Field(
        "resize",
        description="How clips are shown: resize crops, resamples and turns them as for NTU (crop, min_crop, test_crop "
        "and rotation are its settings); ucla is CTR-GCN's way for NW-UCLA: turned by up to 60 degrees, stretched to "
        "fill a box, frames drawn at random; for one person.",
    )
    window: int = Field(64, ge=4, description="Frames the network sees.")
    crop: Pair[Part] = Field((0.5, 1.0), description="Smallest and largest part of a clip kept in training.")
    min_crop: Count = Field(64, description="Fewest frames a crop keeps.")
    test_crop: Part = Field(0.95, description="Central part of a clip kept in the test.")
    rotation: AtLeastZero = Field(0.3, description="Largest random rotation about each axis in radians.")
    same_augmentation: bool = Field(False, description="Repeat the same crops and rotations every epoch.")
    accumulate: Annotated[Count, OFF] = Field(
        1,
        description="Parts that a batch is processed in, one after another, for less memory. The step is that of the "
        "whole batch but for what compares clips with each other: batch normalisation, FAM, and the auxiliary loss of "
        "infogcn see the clips of a part.",
    )
    repeat: Count = Field(1, description="Times each clip is seen per epoch.")
    evaluate_every: int = Field(
        0, ge=0, description="Epochs between evaluations of the test split, for best_on_test; 0: never."
    )
    labels: Annotated[Part, OFF] = Field(
        1.0,
        description="Part of each class's training clips that train, at least one; which, depends on seed and "
        "name alone.",
    )
    init: Annotated[InitSettings | None, OFF] = Field(
        None,
        description="The network begins from an encoder that pretrain_streams or distil_student trained with the same "
        "seed, or from a stream of another data set, of the same backbone, graph and width, all but the classifier; "
        "null for random weights.",
    )
    distil: Annotated[DistilSettings | None, OFF] = Field(
        None,
        description="The stream learns from another benchmark's ensemble too, whose members see their streams of the "
        "same clips.",
    )

    @model_validator(mode="before")
    @classmethod
    def _not_compiled(cls, stated: Any) -> Any:
        if isinstance(stated, dict) and "compile" in stated:
            if stated["compile"]:
                raise ValueError(
                    "compile: was taken out: on a GPU kernels and CUDA graphs make steps faster by themselves; delete "
                    "the key"
                )
            # as in models that were trained while there was this key
            return {key: value for key, value in stated.items() if key != "compile"}
        return stated

    @model_validator(mode="after")
    def _crop_in_order(self) -> "TrainSettings":
        if self.crop[0] > self.crop[1]:
            raise ValueError(f"crop: the smallest part {self.crop[0]} exceeds {self.crop[1]}")
        return self


class AugmentSettings(Section):
    """Random changes of a picture; all strips change alike."""

    mirror: bool = Field(
        False, description="Mirror half of the pictures; only where left and right are no different actions."
    )
    shift: float = Field(0.03, ge=0, le=0.1, description="Largest shift as a part of the side.")
    contrast: Below1 = Field(0.15, description="Largest change of contrast.")
    brightness: Probability = Field(0.05, description="Largest change as a part of full white.")
    erase: Probability = Field(0.0, description="Probability that a rectangle is erased.")


class CnnTrainingSettings(AdamWSettings):
    """Training of a CNN on the training subjects' own pictures."""

    label_smoothing: Below1 = Field(0.1, description="Of the classification loss.")
    augment: AugmentSettings = Field(
        AugmentSettings(), description="Random changes of a picture; all strips change alike."
    )
    seed: Seed = Field(0, description="Of its first weights and of order and augmentation.")
