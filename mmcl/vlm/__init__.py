"""Vision-language models behind one protocol: a further one is one file and one line in ``ADAPTERS``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mmcl.errors import UserError
from mmcl.vlm.protocol import Answers, VisionLanguageModel, is_yes_no

if TYPE_CHECKING:
    import torch

ADAPTERS = {
    "blip": "mmcl.vlm.blip:Blip",
}

__all__ = ["ADAPTERS", "Answers", "VisionLanguageModel", "is_yes_no", "open_vlm"]


def open_vlm(settings: dict, device: torch.device) -> VisionLanguageModel:
    """Load the model that the ``vlm`` settings name.

    Raises ``UserError`` for an adapter that does not exist and for weights that are missing or not the ones
    that the settings' sha256 asks for.
    """
    name = settings["adapter"]
    if name not in ADAPTERS:
        raise UserError(f"vlm: no adapter is called {name!r}; there is {', '.join(sorted(ADAPTERS))}")
    module, attribute = ADAPTERS[name].split(":")
    return getattr(importlib.import_module(module), attribute)(settings, device)
