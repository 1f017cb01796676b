"""Benchmarks: a data set, a protocol, and how streams are trained, fused and evaluated."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mmcl.naming import member_name
from mmcl.settings.base import OFF, AtLeastZero, Count, Items, Name, Place, Question, Section, Seed, Text
from mmcl.settings.choices import Backbone, Graph, Stream
from mmcl.settings.dataset import Threads
from mmcl.settings.model import ModelSettings
from mmcl.settings.selfsup import SelfsupSettings
from mmcl.settings.tables import BACKBONES, default_graph
from mmcl.settings.training import TrainSettings
from mmcl.settings.vlm import VlmSection


class MemberSettings(Section):
    """A stream of the ensemble."""

    stream: Stream = Field(description="What of the skeleton is seen.")
    graph: Graph | None = Field(
        None, description="Adjacency the network starts from; null for the first that its backbone takes."
    )
    backbone: Backbone | None = Field(None, description="Another network than model.backbone.")


class Member(Section):
    """A stream of the ensemble, with its network."""

    backbone: Backbone
    graph: Graph
    stream: Stream

    @property
    def name(self) -> str:
        """See `member_name`."""
        return member_name(self.backbone, self.graph, self.stream)


class PresetWeight(Section):
    """A fusion weight that belongs to what a member sees, wherever it stands among the members."""

    stream: Stream = Field(description="Stream of the members that it is for.")
    graph: Graph = Field(description="Graph of the members that it is for.")
    backbone: Backbone | None = Field(
        None,
        description="Backbone of the members that it is for; null for all that have no row of their own.",
    )
    weight: AtLeastZero = Field(description="The weight.")


class EnsembleSettings(Section):
    """Which streams are trained and how their scores are added."""

    members: Items[MemberSettings] = Field(
        (
            MemberSettings(stream="joint", graph="natural"),
            MemberSettings(stream="bone", graph="natural"),
            MemberSettings(stream="joint_motion", graph="natural"),
            MemberSettings(stream="bone_motion", graph="natural"),
            MemberSettings(stream="joint", graph="hd21"),
            MemberSettings(stream="bone", graph="hd21"),
        ),
        min_length=1,
        description="The streams.",
    )
    weights: Literal["fitted", "equal", "preset"] = Field(
        "fitted", description="Fitted on held-out training subjects, all equal, or as given in preset."
    )
    preset: Items[PresetWeight] = Field(
        (
            PresetWeight(stream="joint", graph="natural", weight=2.361693262051476),
            PresetWeight(stream="bone", graph="natural", weight=4.35402786600752),
            PresetWeight(stream="joint_motion", graph="natural", weight=3.6038236890242237),
            PresetWeight(stream="bone_motion", graph="natural", weight=1.0158095311333564),
            PresetWeight(stream="joint", graph="hd21", weight=3.0574845840597544),
            PresetWeight(stream="bone", graph="hd21", weight=5.0),
        ),
        min_length=1,
        description="Weights for `preset`, each of a stream on a graph, in any order; rows of what is no member are "
        "not used. The default are those published for NTU-120 X-Sub.",
    )
    normalise: Annotated[bool, OFF] = Field(
        False,
        description="Every member's scores of a clip are divided by their L2 norm before they are added, as in "
        "HD-GCN's ensemble; calibration then means little.",
    )
    fit_epochs: Count | None = Field(
        None,
        description="Epochs of the second training that fits the weights; null for as many as train.epochs.",
    )

    @field_validator("members")
    @classmethod
    def _each_once(cls, value: tuple[MemberSettings, ...]) -> tuple[MemberSettings, ...]:
        if len(set(value)) < len(value):
            raise ValueError("has non-unique elements")
        return value

    @field_validator("preset")
    @classmethod
    def _one_weight_each(cls, value: tuple[PresetWeight, ...]) -> tuple[PresetWeight, ...]:
        seen = set()
        for row in value:
            if (which := (row.backbone, row.graph, row.stream)) in seen:
                raise ValueError(f"two weights for {' '.join(filter(None, which))}")
            seen.add(which)
        return value

    def preset_weights(self, members: Sequence[Member]) -> tuple[float, ...]:
        """The weight in `preset` of each member.

        They are not rescaled to those that are there: neither accuracy nor calibration depends on their scale.

        Raises:
            ValueError: a member has none, or all are zero.
        """
        rows = {(row.backbone, row.graph, row.stream): row.weight for row in self.preset}
        weights = []
        for member in members:
            own = (member.backbone, member.graph, member.stream)
            found = rows.get(own, rows.get((None, *own[1:])))
            if found is None:
                there = ", ".join(" ".join(filter(None, row)) for row in rows)
                raise ValueError(
                    f"preset: no weight for member {member.name} (there are weights for {there}); add one, or set "
                    "ensemble.weights to fitted or equal"
                )
            weights.append(found)
        if not any(weights):
            raise ValueError("preset: all weights of the members are zero")
        return tuple(weights)

    def resolved(self, backbone: str) -> tuple[Member, ...]:
        """The members with their networks, `backbone` where they name none.

        Raises:
            ValueError: a backbone does not take a graph, or two members are the same.
        """
        members: list[Member] = []
        for stated in self.members:
            name = stated.backbone or backbone
            graph = stated.graph or default_graph(name)
            if graph not in BACKBONES[name].graphs:
                raise ValueError(
                    f"members: {name} takes graph {', '.join(BACKBONES[name].graphs)}, not {graph}"
                )
            member = Member(backbone=name, graph=graph, stream=stated.stream)
            if member in members:
                raise ValueError(f"members: {member.name} is there twice")
            members.append(member)
        return tuple(members)


class ZeroShotSettings(Section):
    """Data sets the trained models are evaluated on as they are."""

    targets: dict[str, Annotated[str, Field(pattern="^[a-z0-9_]+$", max_length=100)]] = Field(
        {}, description="Target data set → name of the class map in resources/class_maps."
    )


class ReportSettings(Section):
    """What a benchmark's report shows beside its own results; no part of a result's settings."""

    baseline: Annotated[Name | None, OFF] = Field(
        None, description="Another benchmark of the same clips, that gains are given against."
    )


Seeds = Annotated[
    Items[Seed],
    Field(
        min_length=1,
        description="Seeds every member is trained with; the first one's fusion weights are used for all.",
    ),
]


class CommonSections(Section):
    """The sections at the top level of config.yaml that a benchmark may override."""

    instruction: Question = Field(description="The question put to the vision-language model; one line.")
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
        description="A file in resources/recipes whose settings are the defaults of keys that are not stated; none for "
        "the models' own. At the top level for everything, in a benchmark for its sections but not for shared stores.",
    )

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)} has non-unique elements")
        return value


class BenchmarkSettings(CommonSections):
    """A benchmark with everything that it inherits."""

    like: Annotated[Text | None, OFF] = Field(
        None, description="Another benchmark whose settings this one starts from."
    )
    dataset: Text = Field(description="A key of datasets.")
    protocol: Text = Field(
        description="How clips are split into training and test; a name in resources/protocols.json or protocols."
    )
    exclude: Annotated[Place, Field(min_length=1)] | None = Field(
        None,
        description="A file with one clip name a line (`#` begins a comment); these clips neither train nor test.",
    )
    threads: Threads = 8
    report: ReportSettings = Field(
        ReportSettings(), description="What its report shows beside its own results."
    )
    gpus: Count = Field(
        1,
        description="GPUs that train one stream together, each with its part of a batch. Never part of a "
        "result's settings.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "BenchmarkSettings":
        try:
            members = self.ensemble.resolved(self.model.backbone)
            if self.ensemble.weights == "preset":
                self.ensemble.preset_weights(members)
        except ValueError as error:
            raise ValueError(f"ensemble.{error}") from None
        pretrain = self.model.fam.cnn.pretrain
        if pretrain and pretrain.protocol != self.protocol:
            raise ValueError(
                f"model.fam.cnn.pretrain.protocol: {pretrain.protocol} is not the benchmark's protocol "
                f"{self.protocol}, so it might see test clips"
            )
        if self.train.batch % self.gpus:
            raise ValueError(f"gpus: {self.gpus} cannot share train.batch {self.train.batch} out evenly")
        return self

    @property
    def members(self) -> tuple[Member, ...]:
        """The streams of the ensemble, with their networks."""
        return self.ensemble.resolved(self.model.backbone)
