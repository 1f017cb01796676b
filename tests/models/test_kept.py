"""What a forward pass keeps, against sums by hand and against the memory that is alive."""

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmcl.models import build_backbone
from mmcl.models.cnn import open_cnn
from mmcl.models.kept import kept_for_backward
from mmcl.settings.model import CnnSettings


class Made(TorchDispatchMode):
    """Remembers the memory that operations return."""

    def __init__(self):
        super().__init__()
        self.storages = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, torch.Tensor):
                storage = made.untyped_storage()
                self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return result


def tensors(net, x):
    return [*net.parameters(), *net.buffers(), x]


def alive(net, x):
    """Bytes of what operations made and is not freed at the end of the forward pass."""
    own = {tensor.untyped_storage()._cdata for tensor in tensors(net, x)}
    made = Made()
    with made:
        loss = net(x).sum()
    found = made.storages.items()
    count = sum(size for key, (storage, size) in found if key not in own and not storage.expired())
    return count - loss.nbytes


def test_by_hand():
    net = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.Sigmoid())
    x = torch.randn(11, 7)
    relu, norm, sigmoid = 11 * 5, 11 * 5, 11 * 3  # the norm's output is kept by the second product
    statistics = 2 * 5
    kept = kept_for_backward(lambda: net(x), tensors(net, x))
    assert kept == 4 * (relu + norm + sigmoid + statistics)
    with torch.no_grad():
        assert kept_for_backward(lambda: net(x), tensors(net, x)) == kept
    net.requires_grad_(False)
    assert kept_for_backward(lambda: net(x), tensors(net, x)) == 0


@pytest.mark.parametrize("name", ["ctrgcn", "infogcn", "stgcn16"])
def test_it_is_the_memory_that_is_alive_before_the_backward_pass(name):
    net, x = build_backbone(name, 9, "ntu25", 2, width=0.25).train(), torch.randn(3, 3, 16, 25, 2)
    assert kept_for_backward(lambda: net(x).sum(), tensors(net, x)) == pytest.approx(alive(net, x), rel=1e-3)


def test_what_a_gpu_showed():
    """98 MB of each picture that Inception trains with, 118 of each clip of CTR-GCN at NTU's size."""
    net, x = open_cnn(CnnSettings(weights=None)).train(), torch.zeros(2, 299, 299, 3, dtype=torch.uint8)
    assert kept_for_backward(lambda: net(x), tensors(net, x)) / 2 == pytest.approx(98e6, rel=0.15)
    net, x = build_backbone("ctrgcn", 120, "ntu25", 2).train(), torch.zeros(2, 3, 64, 25, 2)
    assert kept_for_backward(lambda: net(x), tensors(net, x)) / 2 == pytest.approx(118e6, rel=0.15)
