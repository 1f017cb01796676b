"""The losses of self-supervised training written out: all logits in one array, one pair of modalities at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(q: Tensor, k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    return torch.stack([_contrast(*part, temperature) for part in zip(q, k, memory, strict=True)])


def knowledge_mining(
    q: Tensor,
    k: Tensor,
    memory: Tensor,
    temperature: float,
    topk: int = 1,
    context: bool = True,
    detach_other: bool = False,
) -> Tensor:
    losses = []
    for u in range(len(q)):
        for v in range(len(q)):
            if u != v:
                pair = (q[u] * k[u]).sum(1, keepdim=True)
                own, other = q[u] @ memory[u], q[v] @ memory[v]
                near = other.topk(topk).indices
                product = own * (other.detach() if detach_other else other)
                losses.append(_mined(pair, own, product if context else None, near, temperature))
    return torch.stack(losses).view(len(q), -1).mean(1)


def joint_embedding(z: Tensor, k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    key = F.normalize(torch.cat(list(k), 1), dim=1)
    keys = F.normalize(torch.cat(list(memory), 0), dim=0)
    return torch.stack([_contrast(one, key, keys, temperature) for one in z])


def relational(
    z: Tensor,
    t: Tensor,
    memory: Tensor,
    temperature: float,
    topk: int = 1,
    compared_with: Tensor | None = None,
) -> Tensor:
    teacher = F.normalize(torch.cat(list(t), 1), dim=1)
    queue = F.normalize(torch.cat(list(memory), 0), dim=0)
    with_whom = range(len(t)) if compared_with is None else compared_with.tolist()
    losses = []
    for one in z:
        for u in range(len(t)):
            relation = t[u] @ memory[with_whom[u]]
            pair, own = (one * teacher).sum(1, keepdim=True), one @ queue
            near = relation.topk(topk).indices
            losses.append(_mined(pair, own, relation * own, near, temperature))
    return torch.stack(losses).view(len(z), -1).mean(1)


def _contrast(q: Tensor, k: Tensor, memory: Tensor, temperature: float) -> Tensor:
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ memory], 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64, device=q.device))


def _mined(pair: Tensor, own: Tensor, product: Tensor | None, near: Tensor, temperature: float) -> Tensor:
    """−1/|P| Σ_P log softmax([pair, own, product]), averaged over the clips."""
    parts = [pair, own] if product is None else [pair, own, product]
    logits = torch.cat(parts, 1) / temperature
    mask = torch.zeros_like(own).scatter_(1, near, 1)
    mask = torch.cat([torch.ones_like(pair), *[mask] * (len(parts) - 1)], 1)
    return -((mask * logits.log_softmax(1)).sum(1) / mask.sum(1)).mean()
