"""The losses of IKEM (Wei et al., ICASSP 2024) and of what it is built on: SkeletonCLR and CrosSCLR.

All of them identify an anchor's positive among K keys of other clips, kept in one memory per modality. U
modalities, B clips, D numbers an embedding:

    queries  q (U, B, D), unit length: a clip's first view
    keys     k (U, B, D), unit length, no gradient: its second view
    memory   Q (U, D, K), unit length: earlier keys. Column i is the same clip in all modalities.

Each returns one loss per modality (or student), averaged over the clips. Similarities are computed once, and the
sums over memory by `sums.log_sums`; tests/selfsup/naive.py holds the same losses written out.
"""

from itertools import permutations

import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.selfsup.sums import log_sums


def info_nce(q: Tensor, k: Tensor, memory: Tensor, temperature: float = 0.07) -> Tensor:
    """Each modality by itself (MoCo, He et al., CVPR 2020, equation 1; SkeletonCLR).

    L_u = −log( e^{q·k/τ} / (e^{q·k/τ} + Σ_i e^{q·Q_i/τ}) )

    Args:
        q: (U, B, D).
        k: (U, B, D), or (B, D) for all.
        memory: (U, D, K), or (D, K) for all.
        temperature: τ.

    Returns:
        (U).
    """
    q = q / temperature
    positive = (q * k).sum(-1)
    negatives, _ = log_sums(q @ memory)
    return (torch.logaddexp(positive, negatives) - positive).mean(1)


def knowledge_mining(
    q: Tensor,
    k: Tensor,
    memory: Tensor,
    temperature: float = 0.07,
    topk: int = 1,
    context: bool = True,
    detach_other: bool = False,
) -> Tensor:
    """Modalities show each other positives among the negatives (CrosSCLR, Li et al., CVPR 2021, section 3.3).

    With s = q_u·k_u, S_u = q_u·Q_u and N the `topk` nearest keys in modality v:

        Z = [s, S_u, S_u ∘ S_v] / τ                       (1 + 2K logits; the third part is the context)
        P = {s} ∪ {S_u at N} ∪ {S_u ∘ S_v at N}
        ℓ_{u←v} = −1/|P| Σ_{p∈P} log softmax(Z)_p
        L_u = mean over v ≠ u of ℓ_{u←v}

    Args:
        q, k, memory, temperature: see above; U ≥ 2.
        topk: |N|.
        context: with the third part, as IKEM trains; CrosSCLR has it both ways.
        detach_other: no gradient of ℓ_{u←v} to q_v. As released it has one, by S_v in the third part.

    Returns:
        (U).

    Raises:
        UserError: a single modality.
    """
    count = len(q)
    if count < 2:
        raise UserError("knowledge is mined between modalities: at least two of them are needed")
    q = q / temperature
    positive = (q * k).sum(-1)
    similar = q @ memory  # S / τ
    # S_u ∘ S_v is S_v ∘ S_u
    exchanges = list(permutations(range(count), 2))
    taken = exchanges if detach_other else [(u, v) for u, v in exchanges if u < v]
    own, products = log_sums(
        similar, similar if detach_other else None, taken if context else (), scale=temperature
    )

    # S_u at the nearest of modality v, from the queries, as a gather from (B, K) would fill its gradient with zeros
    nearest = similar.detach().topk(topk).indices  # (V, B, topk)
    columns = memory[:, :, nearest.flatten()].unflatten(2, nearest.shape)
    mined = torch.einsum("ubd,udvbn->uvbn", q, columns)
    to, by = (torch.tensor(side, device=q.device) for side in zip(*exchanges, strict=True))
    found = mined[to, by]
    positives, partition = [positive[to, :, None], found], torch.logaddexp(positive, own)[to]
    if context:
        place = {pair: number for number, pair in enumerate(taken)}
        number = [place[pair if pair in place else pair[::-1]] for pair in exchanges]
        other = mined[by, by]
        positives.append(temperature * found * (other.detach() if detach_other else other))
        partition = torch.logaddexp(partition, products[torch.tensor(number, device=q.device)])
    losses = partition - torch.cat(positives, -1).mean(-1)
    return losses.mean(1).view(count, count - 1).mean(1)


def joint_embedding(z: Tensor, k: Tensor, memory: Tensor, temperature: float = 0.07) -> Tensor:
    """Implicit knowledge exchange: every modality predicts the embedding that all of them have together (IKEM).

    With k* = [k_1, …, k_U] / √U and Q* = [Q_1; …; Q_U] / √U, which have unit length:

        L_u = −log( e^{z_u·k*/τ} / (e^{z_u·k*/τ} + Σ_i e^{z_u·Q*_i/τ}) )

    No positive is mined, so no modality can put forward a false one: its say is one in U.

    Args:
        z: (U, B, U·D), unit length.
        k, memory, temperature: see above.

    Returns:
        (U).
    """
    return info_nce(z / len(k) ** 0.5, joined(k), memory.flatten(0, 1), temperature)


def relational(
    z: Tensor,
    t: Tensor,
    memory: Tensor,
    temperature: float = 0.07,
    topk: int = 1,
    compared_with: Tensor | None = None,
) -> Tensor:
    """Relational cross-modality distillation (IKEM): students learn who is near whom by all teachers.

    With T = [t_1, …, t_U] / √U, Q_T = [Q_1; …; Q_U] / √U, p = z·T, N = z·Q_T, S_u = t_u·Q_u, and i* the nearest key by
    teacher u:

        Z = [p, N, S_u ∘ N] / τ,   P = {p, N_{i*}, (S_u ∘ N)_{i*}}
        L_s = mean over u of −1/|P| Σ_{p∈P} log softmax(Z)_p

    Args:
        z: students (S, B, U·D), unit length: the second view.
        t: teachers (U, B, D), unit length, no gradient: the first view.
        memory: (U, D, K) of earlier t.
        temperature: τ.
        topk: nearest keys that count as positives.
        compared_with: (U) int64, whose memory stands for Q_u in S_u; None for its own. The released code compares
            angular_velocity with the memory of bone.

    Returns:
        (S).
    """
    students, count = len(z), len(t)
    z = z / (temperature * count**0.5)
    positive = (z * joined(t)).sum(-1)
    everything = memory.flatten(0, 1)
    with torch.no_grad():
        relations = (t / temperature) @ (memory if compared_with is None else memory[compared_with])
        nearest = relations.topk(topk)  # (U, B, topk)
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


def joined(embeddings: Tensor) -> Tensor:
    """Modalities (U, B, D) side by side: (B, U·D)."""
    return embeddings.transpose(0, 1).flatten(1)
