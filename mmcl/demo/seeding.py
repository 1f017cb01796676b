"""Random generators that are named by their purpose, so that results depend neither on order nor on processes."""

import hashlib

import numpy as np


def generator(*key: object) -> np.random.Generator:
    """Generator that depends on the key alone.

    Args:
        key: anything with a stable `str`, such as ("body", seed, subject).

    Returns:
        A PCG64 generator seeded with sha256 of the key.
    """
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
