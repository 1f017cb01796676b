"""Seeds that depend on the run's seed and the epoch alone, so that a run that is resumed draws the same numbers."""

import hashlib

EVERY_EPOCH = -1
"""Stands for an epoch's number in the seed of random numbers that all epochs share."""


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of 63 bits for one epoch of one process; neighbouring numbers give unrelated seeds."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
