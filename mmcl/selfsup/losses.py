"""The losses of IKEM (Wei et al., ICASSP 2024) and of what it is built on: SkeletonCLR and CrosSCLR.

All of them identify an anchor's positive among K keys of other clips, kept in one memory per modality. U
modalities, B clips, embeddings of D numbers, all L2-normalised:

    queries  q (U, B, D): a clip's first view
    keys     k (U, B, D), without gradient: its second view
    memory   Q (U, D, K): earlier keys. Column i is the same clip in all modalities.

Each returns one loss per modality, a mean over the clips. Similarities are computed once, and the sums over memory
by `mmcl.colearn.sums.log_sums`; tests/selfsup/naive.py holds the same losses written out. The loss of the students
is `mmcl.colearn.relational`.
"""

from itertools import permutations

import torch
from torch import Tensor

from mmcl.colearn.relational import joined, nearest_keys
from mmcl.colearn.sums import log_sums
from mmcl.errors import UserError
from mmcl.skeleton.constants import whole_numbers


def info_nce(q: Tensor, k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """InfoNCE of each modality by itself (MoCo, He et al., CVPR 2020, equation 1; SkeletonCLR).

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
    temperature: float,
    topk: int,
    context: bool,
    detach_other: bool,
) -> Tensor:
    """Each modality takes positives from the negatives of another (CrosSCLR, Li et al., CVPR 2021, section 3.3).

    With s = q_u·k_u, S_u = q_u·Q_u and N the `topk` nearest keys in modality v:

        Z = [s, S_u, S_u ∘ S_v] / τ                       (1 + 2K logits; the third part is the context)
        P = {s} ∪ {S_u at N} ∪ {S_u ∘ S_v at N}
        ℓ_{u←v} = −1/|P| Σ_{p∈P} log softmax(Z)_p
        L_u = mean over v ≠ u of ℓ_{u←v}

    Args:
        q, k, memory, temperature: see above; U ≥ 2.
        topk: |N|.
        context: with the third part, as in IKEM; CrosSCLR has it both ways.
        detach_other: no gradient of ℓ_{u←v} to q_v. The released code has one, through S_v in the third part.

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

    # S_u at the nearest of modality v, from the queries: the gradient of a gather from (B, K) would be full of zeros
    nearest = nearest_keys(similar.detach(), topk).indices  # (V, B, topk)
    columns = memory[:, :, nearest.flatten()].unflatten(2, nearest.shape)
    mined = torch.einsum("ubd,udvbn->uvbn", q, columns)
    to, by = (whole_numbers(side, q.device) for side in zip(*exchanges, strict=True))
    found = mined[to, by]
    positives, partition = [positive[to, :, None], found], torch.logaddexp(positive, own)[to]
    if context:
        row = {pair: number for number, pair in enumerate(taken)}
        number = [row[pair if pair in row else (pair[1], pair[0])] for pair in exchanges]
        other = mined[by, by]
        positives.append(temperature * found * (other.detach() if detach_other else other))
        partition = torch.logaddexp(partition, products[whole_numbers(tuple(number), q.device)])
    losses = partition - torch.cat(positives, -1).mean(-1)
    return losses.mean(1).view(count, count - 1).mean(1)


def joint_embedding(z: Tensor, k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """Implicit knowledge exchange: every modality predicts the joint embedding of all modalities (IKEM).

    With k* = [k_1, …, k_U] / √U and Q* = [Q_1; …; Q_U] / √U, which are L2-normalised:

        L_u = −log( e^{z_u·k*/τ} / (e^{z_u·k*/τ} + Σ_i e^{z_u·Q*_i/τ}) )

    No positive is mined, so no modality can contribute a false one: it is one U-th of the key.

    Args:
        z: (U, B, U·D), L2-normalised.
        k, memory, temperature: see above.

    Returns:
        (U).
    """
    return info_nce(z / len(k) ** 0.5, joined(k), memory.flatten(0, 1), temperature)
