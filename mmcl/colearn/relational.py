"""Relational distillation: students learn from teachers which clips are near each other (IKEM's second training)."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.colearn.sums import log_sums


def relational(
    z: Tensor,
    t: Tensor,
    memory: Tensor,
    temperature: float,
    topk: int,
    compared_with: Tensor | None = None,
) -> Tensor:
    """Relational cross-modality distillation (Wei et al., ICASSP 2024).

    With T = [t_1, …, t_U] / √U, Q_T = [Q_1; …; Q_U] / √U, p = z·T, N = z·Q_T, S_u = t_u·Q_u, and i* the nearest key by
    teacher u:

        Z = [p, N, S_u ∘ N] / τ,   P = {p, N_{i*}, (S_u ∘ N)_{i*}}
        L_s = mean over u of −1/|P| Σ_{p∈P} log softmax(Z)_p

    Args:
        z: students (S, B, U·D), L2-normalised: the second view.
        t: teachers (U, B, D), L2-normalised, without gradient: the first view.
        memory: (U, D, K) of earlier t.
        temperature: τ.
        topk: nearest keys that count as positives.
        compared_with: (U) int64, whose memory stands for Q_u in S_u; None for its own. The released code compares
            angular_velocity with the memory of bone.

    Returns:
        (S), means over the clips.
    """
    students, count = len(z), len(t)
    z = z / (temperature * count**0.5)
    positive = (z * joined(t)).sum(-1)
    everything = memory.flatten(0, 1)
    with torch.no_grad():
        relations = (t / temperature) @ (memory if compared_with is None else memory[compared_with])
        nearest = nearest_keys(relations, topk)  # (U, B, topk)
    pairs = [(s, u) for s in range(students) for u in range(count)]
    own, products = log_sums(z @ everything, relations, pairs, scale=temperature)
    columns = everything[:, nearest.indices.flatten()].unflatten(1, nearest.indices.shape)
    found = torch.einsum("sbd,dubn->subn", z, columns)
    positives = [
        positive[:, None, :, None].expand(-1, count, -1, -1),
        found,
        temperature * found * nearest.values,
    ]
    partition = torch.logaddexp(positive, own)[:, None].logaddexp(products.view(students, count, -1))
    return (partition - torch.cat(positives, -1).mean(-1)).mean((1, 2))


class Nearest(NamedTuple):
    """The largest similarities of each clip, and which keys they are of, (U, B, topk) each."""

    values: Tensor
    indices: Tensor


def nearest_keys(similar: Tensor, topk: int) -> Nearest:
    """The `topk` keys nearest to each clip, of similarities (U, B, K); one is found in one pass, without sorting."""
    return Nearest(*(similar.max(-1, keepdim=True) if topk == 1 else similar.topk(topk)))


def joined(embeddings: Tensor) -> Tensor:
    """Embeddings (U, B, D), concatenated clip by clip: (B, U·D)."""
    return embeddings.transpose(0, 1).flatten(1)
