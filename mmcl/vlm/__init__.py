"""Vision-language models. Which there are: `mmcl.settings.tables.ADAPTERS`."""

from typing import TYPE_CHECKING

from mmcl.settings.tables import ADAPTERS, resolve
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm.protocol import Answers, VisionLanguageModel, is_yes_no

if TYPE_CHECKING:
    import torch

__all__ = ["Answers", "VisionLanguageModel", "is_yes_no", "open_vlm"]


def open_vlm(settings: VlmSettings, device: "torch.device") -> VisionLanguageModel:
    """The model that the settings name, with its weights.

    Raises:
        UserError: weights that are missing, damaged, or others than `sha256` states.
    """
    adapter: type[VisionLanguageModel] = resolve(ADAPTERS, settings.adapter, "adapter")
    return adapter(settings, device)
