"""What every vision-language model has in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from mmcl.settings.vlm import VlmSettings

if TYPE_CHECKING:
    import torch

YES_NO_WORDS = frozenset(
    ("whether", "is", "are", "do", "does", "did", "has", "have", "can", "was", "were", "will")
)


class Answers(NamedTuple):
    """A model's answers to one question about B pictures; at most K tokens, states of width D.

    `states[:, t]` is the last decoder layer at the position that produces token t. After the end-of-sequence token
    `states` is zero, `mask` is false and `ids` is the padding token, so that a row does not depend on the other
    pictures of its batch.

    Attributes:
        states: (B, K, D) float32.
        mask: (B, K) bool, true up to and including the end-of-sequence token.
        ids: (B, K) int64, without the start token.
        text: B texts.
        p_yes: (B,) float32, the probability of yes against no; NaN unless the question is a yes/no question.
    """

    states: np.ndarray
    mask: np.ndarray
    ids: np.ndarray
    text: list[str]
    p_yes: np.ndarray


class VisionLanguageModel(Protocol):
    """An adapter: a loaded model that answers questions about pictures.

    A class may have an attribute `Options`, a subclass of `mmcl.settings.base.Options`, for settings of its own, and
    two methods that keep a GPU from waiting:

    - `prepare(image)`: a picture (H, W, 3) uint8 to which `answer` gives the same answers, such as the picture resized.
      It is called by threads while the model works on other pictures.
    - `begin(images, questions)`: queues the work of `answer` on the device and returns a function without arguments
      that gives its result. It is called for the next batch before the function of this one.

    And, where `vlm.cache_images` may be set, an attribute `embedding`, the shape (P, E) of a picture's embedding, and:

    - `embed(images)`: all that the answers need of each of B pictures, (B, P, E) float16.
    - `answer_embedded(embeddings, questions)`: `answer`, from B embeddings (P, E) float16.

    Attributes:
        dim: D, the width of a state.
        tokens: K, the most tokens of an answer.
    """

    dim: int
    tokens: int

    def __init__(self, settings: VlmSettings, device: "torch.device"): ...

    def answer(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """Ask every question about every picture.

        A question's answers must not depend on which other questions are asked.

        Args:
            images: B pictures (H, W, 3) uint8 RGB, of any size.
            questions: the texts.

        Returns:
            Per question its answers, B rows.
        """

    def describe(self) -> dict[str, str]:
        """Versions and preprocessing that may change a state by rounding; kept in the store."""


def is_yes_no(question: str) -> bool:
    """Whether a question, by its first word, is a yes/no question."""
    words = question.split()
    return bool(words) and words[0].lower().strip(",:;?") in YES_NO_WORDS
