from functools import partial

import numpy as np
import pytest
import torch

from mmcl.vlm.beams import beam_search

START, END, PADDING, WORDS = 1, 2, 0, 7


class Table:
    """Logits that depend on the row, the last two tokens and the length."""

    def __init__(self, rows, seed, beams):
        rng = np.random.default_rng(seed)
        self.table = torch.from_numpy(rng.normal(0, 2, (rows, 8, WORDS, WORDS, WORDS)).astype(np.float32))
        self.beams = beams

    def __call__(self, sequences):
        row = torch.arange(len(sequences)) // self.beams
        length = sequences.shape[1]
        before = sequences[:, -2] if length > 1 else torch.zeros(len(sequences), dtype=torch.long)
        return self.table[row, length, before, sequences[:, -1]]

    def steps(self, row, sequence):
        """Log probabilities of the token that follows a sequence."""
        before = sequence[-2] if len(sequence) > 1 else 0
        logits = self.table[row, len(sequence), before, sequence[-1]].double()
        return (logits - logits.logsumexp(0)).tolist()


def by_lists(steps, beams, tokens, start=START, end=END, padding=PADDING):
    """Beam search with lists; `steps` gives the log probabilities of the token after a sequence."""
    going, found = [(0.0, [start])], []
    for length in range(1, tokens + 1):
        candidates = sorted(
            (
                (total + step, [*sequence, token])
                for total, sequence in going
                for token, step in enumerate(steps(sequence))
            ),
            reverse=True,
        )[: 2 * beams]
        going = []
        for rank, (total, sequence) in enumerate(candidates):
            if len(going) == beams:
                break
            if sequence[-1] != end:
                going.append((total, sequence))
            elif rank < beams:
                found = sorted([*found, (total / length, sequence)], reverse=True)[:beams]
        if len(found) == beams and found[-1][0] >= candidates[0][0] / length:
            break
    else:
        found += [(total / (1 + tokens), sequence) for total, sequence in going]
    best = max(found)[1][1:]
    return best + [padding] * (tokens - len(best))


def searched(table, rows, beams, tokens):
    return beam_search(table, rows, beams, tokens, START, END, PADDING, torch.device("cpu"))


@pytest.mark.parametrize("beams", [2, 3])
def test_it_equals_a_search_with_lists(beams):
    lengths = set()
    for seed in range(20):
        table = Table(4, seed, beams)
        found = searched(table, 4, beams, 5)
        assert found.tolist() == [by_lists(partial(table.steps, row), beams, 5) for row in range(4)]
        lengths |= set((found != PADDING).sum(1).tolist())
    assert len(lengths) > 2


def test_a_row_does_not_depend_on_the_others():
    table = Table(3, 5, 3)
    together = searched(table, 3, 3, 5)
    for row in range(3):
        alone = Table(3, 5, 3)
        alone.table = table.table[row : row + 1]
        assert searched(alone, 1, 3, 5).tolist() == together[row : row + 1].tolist()


def test_one_beam_is_greedy_and_two_may_find_what_greedy_misses():
    table = Table(1, 0, 1)
    table.table = torch.full((1, 8, WORDS, WORDS, WORDS), -20.0)
    # 3 is likelier than 4 at first, but what follows 4 is certain
    table.table[0, 1, 0, START, [3, 4]] = torch.tensor([0.2, 0.0])
    table.table[0, 2, START, 3] = 0
    table.table[0, 2, START, 4, 5] = 20
    table.table[0, 3, 4, 5, END] = 20
    assert searched(table, 1, 1, 3).tolist()[0][0] == 3
    table.beams = 2
    assert searched(table, 1, 2, 3).tolist() == [[4, 5, END]]
