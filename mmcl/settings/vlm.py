"""The vision-language model."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

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
        description="Folder with config, tokenizer and model.safetensors, or with BLIP's own .pth and vocab.txt.",
    )
    sha256: Sha256 | None = Field(
        None,
        description="sha256 in hex of the list of the folder's files, as `sha256sum *.json *.pth *.safetensors *.txt | "
        "LC_ALL=C sort -k2 | sha256sum` gives it (of a single file, its own); null accepts any.",
    )
    image_size: Annotated[int, Field(ge=32)] | None = Field(
        480, description="Side of the picture the model sees; null for its own."
    )
    max_new_tokens: int = Field(3, ge=1, le=64, description="Answer tokens kept.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision it runs in; bfloat16 is faster on a GPU."
    )
    batch: Count = Field(16, description="Pictures per batch; a killed job loses at most two.")
    cache_images: Annotated[bool, OFF] = Field(
        False,
        description="Keep what the vision encoder makes of each picture, in half precision, so that a later question "
        "costs less; BLIP at 480 px: 1.4 MB a clip.",
    )
    options: Annotated[SerializeAsAny[Options], OFF] = Field(
        Options(), description="What this adapter alone takes."
    )

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_adapter(cls, stated: Any) -> Any:
        return with_options(stated, "adapter", cls.model_fields["adapter"].default, tables.ADAPTERS)

    @field_validator("cache_images", mode="after")
    @classmethod
    def _by_an_adapter_that_can(cls, stated: bool, info: ValidationInfo) -> bool:
        # imported only where it is asked for, as adapters import torch
        adapter = info.data.get("adapter")
        if stated and adapter in tables.ADAPTERS:
            able = hasattr(tables.resolve(tables.ADAPTERS, adapter, "adapter"), "embed")
            if not able:
                raise ValueError(f"adapter {adapter!r} keeps no embeddings of pictures")
        return stated


class VlmSection(VlmSettings):
    """The vision-language model, and its questions beside the instruction."""

    also_ask: Items[Question] = Field(
        (), description="Further questions answered in the same pass, each kept in a store of its own."
    )
