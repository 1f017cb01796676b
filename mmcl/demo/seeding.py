"""Random generators named by what they draw, so that nothing depends on order or process."""

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
