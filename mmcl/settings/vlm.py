"""The vision-language model."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from mmcl.settings import tables
from mmcl.settings.base import (
    OFF,
    Count,
    Items,
    Options,
    PathName,
    Question,
    Section,
    Sha256,
    Text,
    with_options,
)
from mmcl.settings.choices import Adapter


class VlmSettings(Section):
    """The vision-language model that answers the question."""

    name: PathName = Field("blip-vqa-capfilt-large", description="Its name in paths.")
    adapter: Adapter = Field("blip", description="Which code runs it.")
    weights: Text = Field(
        "weights/blip-vqa-capfilt-large",
        description="Folder with config, tokenizer and model.safetensors; of adapter imported the folder of answers.",
    )
    sha256: Sha256 | None = Field(
        None,
        description="sha256 in hex of the list of the folder's files, as `sha256sum *.json *.safetensors *.txt | "
        "LC_ALL=C sort -k2 | sha256sum` gives it; null accepts any.",
    )
    image_size: Annotated[int, Field(ge=32)] | None = Field(
        480, description="Side of the picture the model sees; null for its own."
    )
    max_new_tokens: int = Field(3, ge=1, le=64, description="Answer tokens kept.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision it runs in; bfloat16 is faster on a GPU."
    )
    batch: Count = Field(16, description="Pictures per batch; a killed job loses at most two.")
    options: Annotated[SerializeAsAny[Options], OFF] = Field(
        Options(), description="What this adapter alone takes."
    )

    @property
    def sees_crops(self) -> bool:
        """Whether the model is given a clip's crops as a video, and not its montage."""
        return bool(getattr(self.options, "frames_as_video", False))

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_adapter(cls, stated: Any) -> Any:
        return with_options(stated, "adapter", cls.model_fields["adapter"].default, tables.ADAPTERS)


class VlmSection(VlmSettings):
    """The vision-language model, and its questions beside the instruction."""

    also_ask: Items[Question] = Field(
        (), description="Further questions answered in the same pass, each kept in a store of its own."
    )
