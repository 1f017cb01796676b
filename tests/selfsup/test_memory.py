"""The memory of keys."""

import pytest
import torch

from mmcl.errors import UserError
from mmcl.selfsup.memory import Memory


def numbered(first, count):
    """Keys of two modalities that hold the number of their clip, and of the modality."""
    clips = torch.arange(first, first + count, dtype=torch.float32)
    return torch.stack([torch.stack([clips, torch.full((count,), float(u))], 1) for u in range(2)])


def test_begins_with_random_directions():
    torch.testing.assert_close(Memory(3, 16, 50).keys.norm(dim=1), torch.ones(3, 50))


def test_newest_keys_replace_the_oldest_in_step():
    memory = Memory(2, 2, 8)
    for first in (0, 3, 6):
        memory.push(numbered(first, 3))
    # nine keys in a ring of eight
    assert memory.keys[0, 0].tolist() == memory.keys[1, 0].tolist() == [8, 1, 2, 3, 4, 5, 6, 7]
    assert memory.keys[:, 1].tolist() == [[0] * 8, [1] * 8]
    assert memory.pointer.tolist() == [1]


def test_what_does_not_fit_is_an_error():
    with pytest.raises(UserError, match="memory of 4 keys: a batch of 5 clips does not fit"):
        Memory(2, 2, 4).push(numbered(0, 5))
    with pytest.raises(UserError, match="at least one"):
        Memory(2, 2, 0)
