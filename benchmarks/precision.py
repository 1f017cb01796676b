"""What the values of `train.precision` do to logits: full-width networks after a few steps on made clips.

Factors of all products are rounded to TF32's 10 bits on a CPU, as a GPU does it, or the forward pass runs in bfloat16;
compared with float64. `python benchmarks/precision.py [BACKBONE …]` (a minute each)
"""

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmcl.models import build_backbone
from mmcl.settings.tables import default_graph

CLASSES, STEPS, CLIPS = 120, 16, 32
FACTORS = {
    "mm": (0, 1),
    "bmm": (0, 1),
    "addmm": (1, 2),
    "baddbmm": (1, 2),
    "convolution": (0, 1),
    "mkldnn_convolution": (0, 1),
}
"""Operation → which of its arguments are multiplied."""
CONVOLUTIONS = {"convolution", "mkldnn_convolution"}


class Tf32(TorchDispatchMode):
    """Rounds the factors of some operations."""

    def __init__(self, operations: set[str]):
        super().__init__()
        self.operations = operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._overloadpacket.__name__
        if name in self.operations:
            args = [rounded(one) if i in FACTORS[name] else one for i, one in enumerate(args)]
        return func(*args, **(kwargs or {}))


def rounded(x: Tensor) -> Tensor:
    """Float32 with 10 bits of the fraction, to nearest, ties to even."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def made_clips(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Each class has a pose and frequencies of its own."""
    own = torch.Generator().manual_seed(7)
    pose, frequency = torch.randn(2, CLASSES, 3, 1, 25, 2, generator=own)
    time = torch.arange(64)[:, None, None] / 64
    x = 0.4 * pose[labels] + 0.3 * torch.sin(12 * frequency[labels] * time)
    return x + 0.05 * torch.randn(x.shape, generator=generator)


@torch.enable_grad()
def trained(name: str, generator: torch.Generator) -> nn.Module:
    """A network after a few steps, in evaluation mode."""
    net = build_backbone(name, CLASSES, "ntu25", 2, default_graph(name)).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.02, 0.9, nesterov=True, weight_decay=4e-4)
    for _ in range(STEPS):
        labels = torch.randint(0, CLASSES, (8,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(net(made_clips(labels, generator)), labels).backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def compare(name: str) -> None:
    """Print the differences of one network."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    net = trained(name, generator)
    x = made_clips(torch.randint(0, CLASSES, (CLIPS,), generator=generator), generator)
    found = {"fp32": net(x)}
    with Tf32(CONVOLUTIONS):
        found["tf32 in convolutions alone (torch's defaults)"] = net(x)
    with Tf32({*FACTORS}):
        found["tf32"] = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        found["bf16"] = net(x).float()
    exact = net.double()(x.double()).float()
    print(f"{name}: relative difference of the logits of {CLIPS} clips from float64")
    for way, logits in found.items():
        same = (logits.argmax(1) == exact.argmax(1)).float().mean()
        relative = (logits - exact).norm() / exact.norm()
        print(f"  {relative:8.1e}  {100 * same:5.1f} % of first classes equal  {way}")


if __name__ == "__main__":
    for backbone in sys.argv[1:] or ["ctrgcn"]:
        compare(backbone)
