"""Hashed bags of words."""

import hashlib

import numpy as np
import pytest

from mmcl.colearn.words import WIDTH, embed


def place(word: str) -> tuple[int, int]:
    """Where a word is counted, and with which sign, by the definition."""
    digest = hashlib.blake2b(word.encode("utf-8"), digest_size=8).digest()
    number = sum(byte << 8 * i for i, byte in enumerate(digest))
    return (number >> 1) % WIDTH, -1 if number & 1 else 1


def test_exact_values():
    found = embed(["Yes", "no cup, no phone", "yes"])
    assert found.dtype == np.float32
    expected = np.zeros((3, WIDTH))
    expected[[0, 2], place("yes")[0]] = place("yes")[1]
    for word, count in (("no", 2), ("cup", 1), ("phone", 1)):
        expected[1, place(word)[0]] = count * place(word)[1] / 6**0.5
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_places_never_change():
    """A model that was trained on texts reads them in another process and version the same way."""
    for word, at, sign in (("yes", 232, -1), ("no", 319, 1), ("größe", 122, 1)):
        assert place(word) == (at, sign)
        assert embed([word])[0, at] == sign


def test_texts_without_words():
    assert not embed(["", " .,!"]).any()
    assert embed([]).shape == (0, WIDTH)


def test_different_texts_are_apart():
    words = [f"object{i}" for i in range(40)]
    values = embed(words)
    cosines = values @ values.T - np.eye(40)
    # two words share a place once in 512 pairs
    assert (np.abs(cosines) > 0.5).mean() < 0.02
    one, other = embed(["the person holds a cup", "the person holds a phone"])
    assert 0.5 < one @ other < 1 - 1e-3
    assert embed(["not holding"])[0] @ embed(["holding"])[0] == pytest.approx(0.5**0.5)
