"""Losses of self-supervised training, forward and backward: sums over memory, against all logits in arrays.

Both get the same embeddings, at the paper's sizes: six modalities, 128 clips, 128 numbers, 32768 keys. Time is measured
interleaved in one process, memory as the peak of a process of its own.
`python benchmarks/ikem_losses.py`
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from interleaved import medians
from reference_ikem import exchange, mined
from torch import Tensor

from mmcl.colearn.relational import relational
from mmcl.selfsup import losses
from mmcl.settings.selfsup import PretrainingSettings

MODALITIES, STUDENTS, CLIPS, DIM, KEYS, ROUNDS = 6, 3, 128, 128, 32768, 3
PAPER = PretrainingSettings()
TEMPERATURE = PAPER.temperature


def exchange_by_arrays(q: Tensor, z: Tensor, k: Tensor, memory: Tensor) -> Tensor:
    return exchange(q, z, k, memory)


def exchange_by_sums(q: Tensor, z: Tensor, k: Tensor, memory: Tensor) -> Tensor:
    mining = losses.knowledge_mining(q, k, memory, TEMPERATURE, PAPER.topk, PAPER.context, PAPER.detach_other)
    return mining.sum() + losses.joint_embedding(z, k, memory, TEMPERATURE).sum()


def relational_by_arrays(q: Tensor, z: Tensor, k: Tensor, memory: Tensor) -> Tensor:
    teacher = F.normalize(torch.cat(list(k), 1), dim=1)
    keys = F.normalize(torch.cat(list(memory), 0), dim=0)
    relations = [t @ own for t, own in zip(k, memory, strict=True)]
    total = torch.zeros(())
    for one in z[:STUDENTS]:
        positive, own = (one * teacher).sum(1, keepdim=True), one @ keys
        for relation in relations:
            loss = mined(positive, own, relation * own, relation.topk(1).indices)
            total = total + loss / MODALITIES
    return total


def relational_by_sums(q: Tensor, z: Tensor, k: Tensor, memory: Tensor) -> Tensor:
    return relational(z[:STUDENTS], k, memory, TEMPERATURE, PAPER.topk).sum()


WAYS = {
    "knowledge mining and joint embedding": (exchange_by_arrays, exchange_by_sums),
    "relational distillation, 3 students": (relational_by_arrays, relational_by_sums),
}


def embeddings() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, joint queries, keys and memory, L2-normalised."""
    generator = torch.Generator().manual_seed(1)

    def unit(*shape: int, dim: int = -1) -> Tensor:
        return F.normalize(torch.randn(*shape, generator=generator), dim=dim)

    q, k = unit(MODALITIES, CLIPS, DIM), unit(MODALITIES, CLIPS, DIM)
    z = unit(MODALITIES, CLIPS, DIM * MODALITIES)
    return q.requires_grad_(), z.requires_grad_(), k, unit(MODALITIES, DIM, KEYS, dim=1)


def step(way: Callable[..., Tensor], parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient with respect to the joint queries."""
    parts[0].grad = parts[1].grad = None
    loss = way(*parts)
    loss.backward()
    return loss.detach(), parts[1].grad.clone()


def peak(name: str) -> float:
    """Peak memory of one step in MB, beyond what was in use before, in a process of its own."""
    found = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    return float(found.stdout)


def measure(name: str) -> None:
    """What `peak` runs."""
    torch.set_num_threads(1)
    parts = embeddings()
    before = most_used()
    step(globals()[name], parts)
    print((most_used() - before) / 1024)


def most_used() -> int:
    """Peak memory of this process in kB; Linux only. (getrusage counts the parent's as well.)"""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def main() -> None:
    torch.set_num_threads(1)
    parts = embeddings()
    print(
        f"ikem_losses, {MODALITIES} modalities, {CLIPS} clips, {KEYS} keys, one CPU thread, forward and backward"
    )
    for title, ways in WAYS.items():
        for ours, theirs in zip(*(step(way, parts) for way in ways), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
        spent = medians({way.__name__: lambda way=way: step(way, parts) for way in ways}, ROUNDS)
        taken = {way.__name__: peak(way.__name__) for way in ways}
        print(f" {title}")
        for way in spent:
            print(f"  {way:<22} {spent[way]:8.0f} ms {taken[way]:8.0f} MB")
        by_time, by_memory = (
            numbers[ways[0].__name__] / numbers[ways[1].__name__] for numbers in (spent, taken)
        )
        print(f"  ratio                  {by_time:8.1f} ×  {by_memory:8.1f} ×")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
