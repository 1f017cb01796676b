"""Pre-training of skeleton encoders without labels, their distillation and their probes (IKEM)."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mmcl.settings.base import AtLeastZero, Count, Items, Pair, Positive, Probability, Section, narrowed
from mmcl.settings.choices import Backbone, Graph, Stream
from mmcl.settings.tables import BACKBONES, default_graph
from mmcl.settings.training import Below1, Part, SgdSettings

Width = Annotated[float, Field(gt=0, le=4)]


class EncoderSettings(Section):
    """The network of each modality."""

    backbone: Backbone = Field("stgcn16", description="Skeleton network.")
    graph: Graph | None = Field(
        None, description="Adjacency that it starts from; the first it takes unless stated."
    )
    width: Width = Field(1.0, description="Multiple of its usual channel numbers.")
    dropout: Below1 | None = Field(
        None,
        description="Probability wherever the backbone drops anything out in pre-training; null for its own, 0.5 in "
        "stgcn16, which is too much for narrow ones.",
    )
    head_spread: Positive | None = Field(
        None, description="Standard deviation of the projection heads' first weights; null for √(2 / inputs)."
    )
    head_norm: bool = Field(
        False, description="Features pass a batch norm before projection heads see them; for short trainings."
    )

    @model_validator(mode="before")
    @classmethod
    def _first_graph(cls, stated: Any) -> Any:
        """The graph is resolved, so that settings with and without it are equal."""
        if isinstance(stated, dict) and stated.get("graph") is None:
            return {
                **stated,
                "graph": default_graph(stated.get("backbone", cls.model_fields["backbone"].default)),
            }
        return stated

    @model_validator(mode="after")
    def _graph_of_the_backbone(self) -> "EncoderSettings":
        allowed = BACKBONES[self.backbone].graphs
        if self.graph not in allowed:
            raise ValueError(f"graph: {self.backbone} takes {', '.join(allowed)}, not {self.graph}")
        return self


class StudentEncoderSettings(Section):
    """Where the students' network differs from the teachers'."""

    backbone: Backbone | None = Field(None, description="Skeleton network; null for the teachers'.")
    graph: Graph | None = Field(None, description="Adjacency that it starts from; null for the teachers'.")
    width: Width | None = Field(
        None, description="Multiple of its usual channel numbers; null for the teachers'."
    )
    dropout: Below1 | None = Field(
        None, description="Probability wherever the backbone drops anything out; null for its own."
    )

    def _is_off(self, name: str) -> bool:
        """What is not stated is the teachers'; a stated null is the backbone's own."""
        return name not in self.model_fields_set


class ViewSettings(Section):
    """How an encoder sees a clip, augmentation aside."""

    window: int = Field(50, ge=4, description="Frames the networks see.")
    convention: Literal["ctr", "ikem", "ikem3"] = Field(
        "ctr",
        description="How modalities are computed from joints: ctr is that of train_stream, so that its streams can "
        "begin from these encoders; ikem has the second paper's bones, and every person centred and facing the camera; "
        "ikem3 is ikem with the bones of its three-modality model: tips hang on thumbs, the root has none.",
    )
    facing: Literal["frame", "clip"] = Field(
        "frame",
        description="With ikem and ikem3: the direction that a person faces, by each frame's shoulders, or with one "
        "sign per clip as released.",
    )
    true_timeline: bool = Field(
        True, description="With ikem and ikem3: motion is per recorded frame, not per resampled one."
    )


class AugmentationSettings(Section):
    """How the two views of a clip differ."""

    crop_by: Literal["mirror", "resize"] = Field(
        "mirror",
        description="mirror: the clip is resampled, continued by its mirror image at both ends, and cropped; resize: "
        "a part of it is resampled.",
    )
    padding: Count = Field(6, description="With mirror: window / padding frames are added at each end.")
    crop: Pair[Part] = Field((0.5, 1.0), description="With resize: smallest and largest part of a clip.")
    shear: AtLeastZero = Field(0.5, description="Largest entry off the diagonal of a random matrix.")
    rotation: AtLeastZero = Field(0.0, description="Largest random rotation about each axis in radians.")
    bones: Below1 = Field(
        0.0,
        description="Largest part by which the length of each bone changes, so that encoders do not learn to identify "
        "people by their proportions.",
    )
    same: bool = Field(False, description="Draw the same changes in every epoch, by position in the epoch.")

    @model_validator(mode="after")
    def _crop_in_order(self) -> "AugmentationSettings":
        if self.crop[0] > self.crop[1]:
            raise ValueError("crop: the smallest part exceeds the largest")
        return self


class ContrastSettings(ViewSettings, SgdSettings):
    """What pre-training and distillation have in common."""

    modalities: Items[Stream] = Field(
        ("joint", "joint_motion", "bone", "acceleration", "rotation_axis", "angular_velocity"),
        min_length=1,
        description="What of the skeleton is seen, one encoder each; in the order of the joint embedding. One is "
        "SkeletonCLR.",
    )
    augmentation: AugmentationSettings = Field(
        AugmentationSettings(), description="How the two views of a clip differ."
    )
    epochs: Count = Field(300, description="Passes over the training clips.")
    batch: int = Field(128, ge=2, description="Clips per step.")
    weight_decay: AtLeastZero = Field(0.0001, description="On all parameters.")
    steps: Items[Count] = Field((250,), description="Epochs after which the learning rate falls.")
    norms: Literal["measured", "running"] = Field(
        "measured",
        description="Statistics of the batch norms in the encoders that are written: measured on the training clips in "
        "the end, or the running ones, which are inaccurate after few steps.",
    )
    memory: int = Field(
        32768, ge=2, description="Earlier keys that are compared with; no fewer than a batch."
    )
    temperature: Positive = Field(0.07, description="τ of all losses.")
    topk: Count = Field(1, description="Nearest keys by another modality that count as positives.")

    @field_validator("modalities")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)} has non-unique elements")
        return value

    @property
    def view(self) -> ViewSettings:
        """How an encoder sees clips, without how it is trained."""
        return narrowed(ViewSettings, self)


class PretrainingSettings(ContrastSettings):
    """Pre-training of one encoder per modality."""

    encoder: EncoderSettings = Field(EncoderSettings(), description="The network of each modality.")
    exchange_after: Annotated[int, Field(ge=0)] | None = Field(
        150,
        description="Epochs that every modality learns by itself, before knowledge is exchanged; null for all of them.",
    )
    dim: int = Field(128, ge=2, description="Width of an embedding.")
    key_momentum: Probability = Field(0.999, description="m of the key encoders: θ_k ← m θ_k + (1 − m) θ_q.")
    context: bool = Field(
        True, description="Positives are weighted by products of similarities of two modalities, too."
    )
    detach_other: bool = Field(
        False, description="No gradient of a modality's loss to the one that it learns from."
    )
    mining_weight: AtLeastZero = Field(1.0, description="Of CrosSCLR's term; 0 for IKEM's alone.")
    joint_weight: AtLeastZero = Field(1.0, description="Of IKEM's term; 0 for CrosSCLR.")
    locked: Items[Stream] = Field(
        ("joint", "bone", "rotation_axis"),
        description="Modalities whose key encoders are frozen while knowledge is exchanged, as far as they take part.",
    )
    keys_start_apart: bool = Field(
        False, description="Key encoders begin with other weights than query encoders."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "PretrainingSettings":
        after = self.exchange_after
        if len(self.modalities) < 2 and after is not None and after < self.epochs:
            raise ValueError(
                f"exchange_after: {self.modalities[0]} alone has no other modality to exchange knowledge with; set it "
                "to null"
            )
        if not (self.mining_weight or self.joint_weight):
            raise ValueError("joint_weight: of mining_weight and joint_weight one must not be 0")
        if self.topk > self.memory:
            raise ValueError(f"topk: {self.topk} exceeds the {self.memory} keys of memory")
        if self.batch > self.memory:
            raise ValueError(f"batch: {self.batch} clips do not fit into a memory of {self.memory}")
        return self


class StudentSettings(Section):
    """Distillation; what it does not state is as in pre-training."""

    modalities: Items[Stream] = Field(
        ("joint", "joint_motion", "bone"),
        min_length=1,
        description="What of the skeleton is seen, one student each.",
    )
    early: bool = Field(
        False, description="One student that sees all of them, concatenated channel by channel."
    )
    encoder: StudentEncoderSettings = Field(
        StudentEncoderSettings(), description="Where the students' network differs from the teachers'."
    )
    epochs: Count = Field(150, description="Passes over the training clips.")
    batch: int = Field(128, ge=2, description="Clips per step.")
    learning_rate: Positive = Field(0.1, description="Of SGD.")
    steps: Items[Count] = Field((125,), description="Epochs after which the learning rate falls.")
    fill_memory: bool = Field(True, description="Fill memory by the teachers before the first step.")
    teachers_train: bool = Field(False, description="Teachers use dropout and the batch's statistics.")
    wrong_memory: bool = Field(
        False, description="The teacher of angular_velocity is compared with the memory of bone."
    )


class DistillationSettings(StudentSettings, ContrastSettings):
    """Distillation with everything that it takes over from the pre-training."""


class ProbeSettings(Section):
    """Action recognition on frozen encoders' features, by a linear classifier and by nearest neighbours."""

    from_: str | None = Field(
        None,
        alias="from",
        description="Benchmark whose encoders are probed on this one's clips, joints mapped by name; null for its own.",
    )
    epochs: Count = Field(100, description="Passes over the training clips' features.")
    batch: Count = Field(128, description="Clips per step.")
    standardise: bool = Field(
        True,
        description="Features are standardised over the training clips for the linear classifier.",
    )
    learning_rate: Positive = Field(0.3, description="Of SGD.")
    momentum: Below1 = Field(0.9, description="Of SGD.")
    weight_decay: AtLeastZero = Field(0.0, description="On weights and biases.")
    steps: Items[Count] = Field((80,), description="Epochs after which the learning rate falls.")
    decay: Part = Field(0.1, description="Factor at each step.")
    evaluate_every: Count = Field(
        5, description="Epochs between evaluations of the test split, for best_on_test."
    )
    neighbours: Items[Count] = Field(
        (1, 5, 20), min_length=1, description="Numbers k of nearest training clips."
    )


class ProbeSection(ProbeSettings):
    """What is probed, and how."""

    of: Items[Literal["random", "pretrain", "student"]] = Field(
        ("random", "pretrain", "student"),
        min_length=1,
        description="What ikem/result.json reports; random is the same encoders at their first weights.",
    )


class SelfsupSettings(PretrainingSettings):
    """Pre-training of skeleton encoders without labels, and their distillation (IKEM)."""

    student: StudentSettings = Field(
        StudentSettings(), description="Distillation; what it does not state is as in pre-training."
    )
    probe: ProbeSection = Field(
        ProbeSection(),
        description="Action recognition on frozen encoders' features, by a linear classifier and nearest neighbours.",
    )

    @model_validator(mode="after")
    def _students_fit(self) -> "SelfsupSettings":
        if self.student.batch > self.memory:
            raise ValueError(
                f"student.batch: {self.student.batch} clips do not fit into a memory of {self.memory}"
            )
        backbone, graph, _ = self.student_network
        if graph not in BACKBONES[backbone].graphs:
            allowed = ", ".join(BACKBONES[backbone].graphs)
            raise ValueError(f"student.encoder.graph: {backbone} takes {allowed}, not {graph}")
        return self

    @property
    def student_network(self) -> tuple[str, str, float]:
        """Backbone, graph and width of the students."""
        own, teachers = self.student.encoder, self.encoder
        backbone = own.backbone or teachers.backbone
        graph = own.graph or (teachers.graph if own.backbone is None else default_graph(backbone))
        assert graph is not None
        return backbone, graph, own.width or teachers.width
