"""Beam search, as the release of transformers that BLIP was published with does it (4.15; length penalty 1).

The score of an answer is the sum of its tokens' log probabilities over its length, which counts the start token and
not the end token. Later releases count otherwise where an answer is cut at the most tokens.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

UNUSED = -1e9
"""Score of the beams that there is nothing to follow for at the start: all of them begin alike."""


def beam_search(
    logits_of: Callable[[Tensor], Tensor],
    rows: int,
    beams: int,
    tokens: int,
    start: int,
    end: int,
    padding: int,
    device: torch.device,
) -> Tensor:
    """The best answer of each row. Nothing waits for the device.

    Args:
        logits_of: sequences (rows × beams, length), those of a row one after another → logits of their next tokens
            (rows × beams, words).
        rows: pictures.
        beams: answers that are followed at the same time.
        tokens: the most of an answer, its end token included.
        start: first token of each sequence.
        end: token that ends an answer.
        padding: what follows it.
        device: where to work.

    Returns:
        (rows, tokens) int64, without the start token.
    """
    sequences = torch.full((rows, beams, 1), start, dtype=torch.long, device=device)
    total = torch.full((rows, beams), UNUSED, device=device)
    total[:, 0] = 0
    ended = torch.full((rows, beams, 1 + tokens), padding, dtype=torch.long, device=device)
    best = torch.full((rows, beams), -torch.inf, device=device)
    done = torch.zeros(rows, 1, dtype=torch.bool, device=device)
    leading = torch.arange(2 * beams, device=device) < beams
    for length in range(1, tokens + 1):
        steps = logits_of(sequences.flatten(0, 1)).float().log_softmax(-1).unflatten(0, (rows, beams))
        words = steps.shape[-1]
        # at most one of each beam ends, so that as many go on
        top, at = (steps + total[..., None]).flatten(1).topk(2 * beams)
        origin, token = at // words, at % words
        longer = torch.cat([_taken(sequences, origin), token[..., None]], 2)
        ends = token == end
        finished = torch.where(ends & leading & ~done, top / length, -torch.inf)
        best, ended = _best(best, ended, finished, F.pad(longer, (0, tokens - length), value=padding))
        done = done | (best[:, -1:] >= top[:, :1] / length)
        order = ends.int().argsort(dim=1, stable=True)[:, :beams]
        total, sequences = top.gather(1, order), _taken(longer, order)
    cut = torch.where(done, -torch.inf, total / (1 + tokens))
    _, ended = _best(best, ended, cut, sequences)
    return ended[:, 0, 1:].contiguous()


def _taken(sequences: Tensor, which: Tensor) -> Tensor:
    """Of sequences (rows, n, length) those that `which` (rows, m) names."""
    return sequences.gather(1, which[..., None].expand(-1, -1, sequences.shape[2]))


def _best(scores: Tensor, kept: Tensor, more: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Of two lots of sequences and their scores as many as there were, the best first."""
    best, which = torch.cat([scores, more], 1).topk(scores.shape[1])
    return best, _taken(torch.cat([kept, others], 1), which)
