"""What every vision-language model looks like to the rest of the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

YES_NO_WORDS = frozenset(
    ("whether", "is", "are", "do", "does", "did", "has", "have", "can", "was", "were", "will")
)


class Answers(NamedTuple):
    """What a model says to one question about B pictures; K tokens at most, D wide.

    ``states[:, t]`` is the last decoder layer at the position that produces token t. From the token after
    the end-of-sequence token on, ``states`` is zero, ``mask`` is false and ``ids`` is the padding token, so a
    row does not depend on the pictures it was batched with.
    """

    states: np.ndarray  # (B, K, D) float32
    mask: np.ndarray  # (B, K) bool, true up to and including the end-of-sequence token
    ids: np.ndarray  # (B, K) int64, without the start token
    text: list[str]  # B
    p_yes: np.ndarray  # (B,) float32, NaN where the question is no yes/no question


class VisionLanguageModel(Protocol):
    """An adapter: made from (settings, device), keeps a loaded model, answers questions."""

    dim: int  # D
    tokens: int  # K

    def answer(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """Ask every question about every picture (RGB uint8 (H, W, 3)); one ``Answers`` per question."""

    def describe(self) -> dict[str, str]:
        """Versions and preprocessing that can move a state by rounding: written beside the results."""


def is_yes_no(question: str) -> bool:
    """Tell by its first word whether a question wants yes or no."""
    words = question.split()
    return bool(words) and words[0].lower().strip(",:;?") in YES_NO_WORDS
