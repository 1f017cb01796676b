"""Skeleton network, and what it is trained together with."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from mmcl.settings import tables
from mmcl.settings.base import (
    OFF,
    AtLeastZero,
    Count,
    Options,
    PathName,
    Positive,
    Section,
    Sha256,
    Text,
    by_table,
)
from mmcl.settings.choices import Backbone, Graph
from mmcl.settings.training import CnnTrainingSettings


class TermSettings(Section):
    """A co-learning term: something that is learned beside the classification.

    A subclass states `inputs`, the names of what the term needs of each clip; see `mmcl.colearn.term`.
    """

    inputs: ClassVar[tuple[str, ...]] = ()

    enabled: bool = Field(True, description="Whether it takes part.")


class PretrainSettings(CnnTrainingSettings):
    """The CNN is trained on the training subjects' own pictures before it is frozen."""

    protocol: Text = Field(
        description="Whose training clips it sees; must be stated, and be the benchmark's own."
    )


class CnnSettings(Section):
    """Network that sees the picture."""

    name: PathName = Field("inception_v3", description="Its name in paths.")
    architecture: Text = Field("inception_v3", description="Any classifier of torchvision.models.")
    weights: Text | None = Field(
        "weights/inception_v3_google-0cc3c7bd.pth",
        description="File with its state dict; null for random weights.",
    )
    sha256: Sha256 | None = Field(None, description="sha256 of the weights in hex; null accepts any file.")
    num_classes: Count = Field(1000, description="Classes of the weights.")
    feature: Literal["logits", "pooled"] = Field(
        "logits", description="Class scores or the features before them."
    )
    image_size: int = Field(299, ge=32, description="Side of the picture it sees.")
    frozen: bool = Field(
        False, description="Keep it as it is, with features computed once (true), or train it along."
    )
    batch: Count = Field(64, description="Pictures per batch where it is frozen.")
    pretrain: PretrainSettings | None = Field(
        None,
        description="Train the CNN on the training subjects' own pictures before it is frozen; weights must "
        "then be null, and num_classes follows from the data. Null for the weights as they are.",
    )

    @model_validator(mode="after")
    def _pretrained_is_frozen(self) -> "CnnSettings":
        if self.pretrain and self.weights is not None:
            raise ValueError(
                "weights: `pretrain` trains the network from random weights; set weights to null"
            )
        if self.pretrain and not self.frozen:
            raise ValueError("frozen: a network of `pretrain` is used frozen; set frozen to true")
        return self


class FamSettings(TermSettings):
    """Feature Alignment Module (MMCL, section 3.3.1, Eq. 3-6)."""

    inputs: ClassVar[tuple[str, ...]] = ("picture",)

    weight: AtLeastZero = Field(0.1, description="λ1 of the total loss.")
    temperature: Positive = Field(0.4, description="τ of the contrastive loss.")
    loss: Literal["grace", "eq6", "clip"] = Field(
        "grace", description="GRACE with intra-modal negatives as released; Eq. 6 as printed; CLIP's."
    )
    hidden: Count = Field(256, description="Hidden units of the projection.")
    chunk: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Clips that are contrasted with each other, in the order of the batch; null for the whole batch.",
    )
    gather: bool = Field(
        False,
        description="With several GPUs: contrast the clips of all of them (true), or those of each by itself.",
    )
    cnn: CnnSettings = Field(CnnSettings(), description="Network that sees the picture.")


class FrmSettings(TermSettings):
    """Feature Refinement Module (MMCL, section 3.3.2, Eq. 7-9)."""

    inputs: ClassVar[tuple[str, ...]] = ("answer",)

    weight: AtLeastZero = Field(0.2, description="λ2 of the total loss.")
    n: Count = Field(2, description="Number of gates and class vectors.")
    input: Literal[
        "hidden",
        "mean",
        "last",
        "p_yes",
        "text",
        "answer_ids",
        "shuffled",
        "shuffled_mean",
        "shuffled_last",
        "shuffled_p_yes",
        "shuffled_text",
        "constant",
    ] = Field(
        "hidden",
        description="What it reads of an answer: the hidden state at its first token (hidden), the mean over its "
        "tokens (mean), the state at its last token (last), the probability of yes against no (p_yes), its words "
        "(text), or BOS and the first two tokens as released (answer_ids). Controls: the hidden state of another "
        "clip (shuffled), another clip's mean, last, p_yes or text (shuffled_mean …), and a one (constant).",
    )
    hidden: Count = Field(64, description="Hidden units of the gate.")
    matrices: Literal["diagonal", "full"] = Field(
        "diagonal", description="Class vectors or full class matrices."
    )
    detach: bool = Field(False, description="Keep its loss out of the backbone.")

    @property
    def reads(self) -> str:
        """What is read of an answer, be it the clip's own or another's."""
        return read_of(self.input)[0]


def read_of(kind: str) -> tuple[str, bool]:
    """`frm.input` → what is read of an answer, and whether of another clip's."""
    if kind == "shuffled":
        return "hidden", True
    return kind.removeprefix("shuffled_"), kind.startswith("shuffled_")


class BackboneSettings(Section):
    """A skeleton network."""

    backbone: Backbone = Field("ctrgcn", description="Skeleton network.")
    width: float = Field(1.0, gt=0, le=4, description="Multiple of the usual channel numbers.")
    options: Annotated[dict[str, SerializeAsAny[Options]], OFF] = Field(
        {}, description="What single networks take beside that, by network."
    )

    @field_validator("options", mode="before")
    @classmethod
    def _options_of_backbones(cls, value: Any) -> Any:
        paths = {name: entry.path for name, entry in tables.BACKBONES.items()}
        return by_table(value, paths, "Options")


class ModelSettings(BackboneSettings):
    """Skeleton network and what it is trained together with."""

    fam: FamSettings = Field(FamSettings(), description="Feature Alignment Module (paper Eq. 3-6).")
    frm: FrmSettings = Field(FrmSettings(), description="Feature Refinement Module (paper Eq. 7-9).")
    terms: Annotated[dict[str, SerializeAsAny[TermSettings]], OFF] = Field(
        {}, description="Further co-learning terms, by name."
    )

    @field_validator("terms", mode="before")
    @classmethod
    def _settings_of_terms(cls, value: Any) -> Any:
        further = {name: path for name, path in tables.TERMS.items() if name not in tables.TERMS_WITH_SECTION}
        return by_table(value, further, "Settings")

    @property
    def enabled_terms(self) -> dict[str, TermSettings]:
        """The terms that take part, by name."""
        every = {"fam": self.fam, "frm": self.frm, **self.terms}
        return {name: settings for name, settings in every.items() if settings.enabled}

    def own_options(self, *backbones: str) -> dict[str, Options]:
        """The options of these networks alone."""
        return {name: self.options[name] for name in backbones if name in self.options}


class StreamModelSettings(ModelSettings):
    """The model of one stream."""

    graph: Graph = Field("natural", description="Adjacency that the network starts from.")
