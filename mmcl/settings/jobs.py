"""The settings of each stage: its rule's params, its store's fingerprint and `settings.json`."""

from typing import Annotated, Literal

from pydantic import Field

from mmcl.settings.base import OFF, Count, Items, Question, Section, Seed, Text, narrowed
from mmcl.settings.benchmark import EnsembleSettings, Member, Seeds
from mmcl.settings.choices import Stream
from mmcl.settings.dataset import DrawnSettings, ReaderSettings
from mmcl.settings.model import CnnSettings, ModelSettings, StreamModelSettings
from mmcl.settings.protocol import SelectionSettings
from mmcl.settings.selfsup import (
    DistillationSettings,
    PretrainingSettings,
    ProbeSettings,
    SelfsupSettings,
    StudentSettings,
)
from mmcl.settings.training import CnnTrainingSettings, TrainSettings
from mmcl.settings.video import CropSettings, MontageSettings, PoseSettings
from mmcl.settings.vlm import VlmSettings

Version = Annotated[int, Field(description="Of the stage, see `mmcl.stages`.")]


class RecipeReport(Section):
    """What a recipe did to the settings of a result, see `mmcl.recipes`."""

    name: str
    changed: Items[str]
    overridden: Items[str]
    quirks: Items[str]
    kept: Items[str]


class Stage(Section):
    """What every stage's settings have."""

    version: Version = 0


class Drawing(Stage, DrawnSettings):
    """draw_demo."""


class Indexing(Stage, ReaderSettings):
    """index_clips; which clips lie in the folders enters by their content stamp."""


class PoseEstimation(Stage):
    """estimate_poses."""

    reader: str
    poses: PoseSettings


class Preparation(Stage, ReaderSettings):
    """prepare_skeletons."""

    joint_confidence: Annotated[float | None, OFF] = None
    """Below which a pose estimator's joint is interpolated."""


class Cropping(Stage, ReaderSettings):
    """crop_people."""

    video: CropSettings


class Montages(Stage):
    """concatenate_frames."""

    montage: MontageSettings
    jpeg_quality: int
    batch: Count


class Answering(Stage, VlmSettings):
    """answer_question and import_answers."""


class Embedding(Stage):
    """embed_pictures: what of the vision-language model the embeddings of pictures follow from."""

    name: str
    adapter: str
    weights: str
    sha256: str | None
    image_size: int | None
    dtype: str
    batch: Count


class CnnTraining(Stage, SelectionSettings, CnnTrainingSettings):
    """pretrain_cnn: what its weights follow from."""

    architecture: Text
    image_size: int
    strips: Annotated[Count, OFF] = Field(5, description="Crops side by side in a picture.")


class Encoding(Stage, CnnSettings):
    """encode_montages."""


class StreamTraining(Stage, SelectionSettings):
    """train_stream."""

    stream: Stream
    seed: Seed
    fit: bool = Field(
        False, description="Whether every fifth training subject is left out, to fit fusion weights on."
    )
    model: StreamModelSettings
    train: TrainSettings
    question: Annotated[Question | None, OFF] = Field(None, description="Whose answers FRM reads.")
    vlm: Annotated[VlmSettings | None, OFF] = Field(None, description="Which answered it.")


class Scoring(Stage, SelectionSettings):
    """score_stream; the rest is in the model file."""

    fit: bool = False
    best: Annotated[bool, OFF] = False
    """Whether best_on_test.pt is scored, too."""


class Fusion(Stage, SelectionSettings):
    """ensemble: all that its members were made with."""

    benchmark: str
    question: str
    dataset: str
    model: ModelSettings
    train: TrainSettings
    vlm: Annotated[VlmSettings | None, OFF] = None
    ensemble: EnsembleSettings
    members: Items[Member]
    runs: Items[str]
    """The members' folders, of the first seed."""
    seeds: Seeds
    recipe: Annotated[RecipeReport | None, OFF] = None


class FoldsResult(Stage, SelectionSettings):
    """folds: what its ensembles were made with; `protocol` is without a fold."""

    benchmark: str
    dataset: str
    seeds: Seeds
    ensembles: Items[str]
    """The ensembles of the folds, in their order."""


class ZeroShot(Stage):
    """zero_shot."""

    benchmark: str
    target: str
    class_map: str
    members: Items[Member]
    seed: Seed


class Examination(Stage, SelectionSettings):
    """examine_answers."""

    benchmark: str
    dataset: str
    vlm: str
    question: str
    input: str
    """`frm.input`."""


class Reporting(Stage):
    """What makes a report."""

    benchmark: str


class Pretraining(Stage, SelectionSettings):
    """pretrain_streams."""

    seed: Seed
    selfsup: PretrainingSettings
    recipe: Annotated[RecipeReport | None, OFF] = None


class DistilledSettings(PretrainingSettings):
    """A pre-training and the distillation of its encoders."""

    student: StudentSettings

    @property
    def distillation(self) -> DistillationSettings:
        """The settings of the pre-training with those of the students on top."""
        own = {name: getattr(self.student, name) for name in StudentSettings.model_fields}
        return narrowed(DistillationSettings, self, **own)


class StudentTraining(Stage, SelectionSettings):
    """distil_student: the settings of the pre-training, too, whose encoders it starts from."""

    seed: Seed
    selfsup: DistilledSettings
    recipe: Annotated[RecipeReport | None, OFF] = None


class Probing(Stage, SelectionSettings):
    """probe_stream; the rest is in the model file."""

    what: Literal["random", "pretrain", "student"]
    seed: Seed
    probe: ProbeSettings


class IkemResult(Stage, SelectionSettings):
    """ikem_result: all that its probes were made with."""

    benchmark: str
    dataset: str
    seeds: Seeds
    selfsup: SelfsupSettings
    recipe: Annotated[RecipeReport | None, OFF] = None
