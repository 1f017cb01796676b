"""A training step of CTR-GCN at full width: forward, backward and SGD, the plain reference against ours.

`python benchmarks/train_step.py`
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from interleaved import medians, show
from reference_ctrgcn import ReferenceCTRGCN
from reference_layers import randomised
from torch import nn

from mmcl.checkpoints import load_reference
from mmcl.models import build_backbone

BATCH = 8


def stepper(net: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """A function that takes one step; its learning rate changes the weights too little to be seen."""
    optimizer = torch.optim.SGD(net.parameters(), 1e-9, momentum=0.9, nesterov=True, weight_decay=4e-4)

    def step() -> None:
        loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    torch.set_num_threads(1)
    reference = randomised(ReferenceCTRGCN(120)).train()
    net = build_backbone("ctrgcn", 120).train()
    load_reference(net, reference.state_dict())
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn(BATCH, 3, 64, 25, 2, generator=generator)
    labels = torch.randint(120, (BATCH,), generator=generator)
    with torch.no_grad():
        expected = reference(x)
        assert (net(x) - expected).abs().max() <= 1e-4 * expected.abs().max()
    ways = {"reference, eager": stepper(reference, x, labels), "mmcl": stepper(net, x, labels)}
    print("training step of CTR-GCN at full width, 64 frames, one thread, median CPU time")
    show(f"{BATCH} clips", medians(ways, rounds=5), BATCH)


if __name__ == "__main__":
    main()
