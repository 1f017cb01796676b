"""Texts as vectors of one width, without a vocabulary: hashed bags of words.

A word is hashed to one of `WIDTH` places and to a sign (K. Weinberger et al., "Feature Hashing for Large Scale
Multitask Learning", ICML 2009). So no vocabulary is learned or stored, and the answers about another data set have the
same places.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

WIDTH = 512
"""Numbers that a text becomes; answers to one question rarely have more distinct words."""


def embed(texts: Sequence[str]) -> np.ndarray:
    """Signed counts of words, of length one: (N, WIDTH) float32, zero for a text without words.

    Words are runs of letters, digits and underscores, in lower case. Their order is not kept.
    """
    found = {text: _embedded(text) for text in set(texts)}
    return np.array([found[text] for text in texts], np.float32).reshape(-1, WIDTH)


def _embedded(text: str) -> np.ndarray:
    counts = np.zeros(WIDTH)
    for word in re.findall(r"\w+", text.lower()):
        place, sign = _place(word)
        counts[place] += sign
    length = np.linalg.norm(counts)
    return counts / length if length else counts


def _place(word: str) -> tuple[int, int]:
    number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return number // 2 % WIDTH, 1 - 2 * (number % 2)
