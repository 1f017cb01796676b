"""Layers that do several things at once, against doing one after the other."""

import pytest
import torch
import torch.nn.functional as F
from seeds import shifted

from mmcl.models.layers import Aggregate, ChannelNorm, MultiScaleTemporal, NoNorm, fold


def test_aggregation_and_its_gradients():
    torch.manual_seed(shifted(0))
    graphs = torch.randn(3, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 8, 5, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(Aggregate.apply(graphs, x), torch.einsum("kbuv,kbvt->but", graphs, x))
    assert torch.autograd.gradcheck(Aggregate.apply, (graphs, x))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [8, 9])
def test_temporal_branches(stride, frames):
    torch.manual_seed(shifted(0))
    unit = MultiScaleTemporal(8, stride).double().eval()
    for name, value in unit.state_dict().items():
        if "num_batches" not in name:
            value.copy_(torch.rand_like(value) + (0.5 if "running_var" in name else -0.5))
    x = torch.randn(8, 3, 5, frames, dtype=torch.float64)  # (C, N, V, T)

    def norm(y, module, part):
        own = [t[part] for t in (module.running_mean, module.running_var, module.weight, module.bias)]
        return F.batch_norm(y, own[0], own[1], own[2], own[3])

    def conv(y, k, step=1):
        part = slice(2 * k, 2 * k + 2)
        return F.conv2d(y, unit.reduce.weight[part, :, None, None], unit.reduce.bias[part], stride=(1, step))

    y = x.transpose(0, 1)
    outputs = []
    for k in range(4):
        part = slice(2 * k, 2 * k + 2)
        if k == 3:
            branch = conv(y, k, stride)
        else:
            branch = F.relu(norm(conv(y, k), unit.reduce_norm, part))
            if k == 2:
                branch = F.max_pool2d(branch, (1, 3), (1, stride), (0, 1))
            else:
                weight, bias = unit.convs[k].weight, unit.convs[k].bias
                branch = F.conv2d(branch, weight, bias, (1, stride), (0, 2 * (k + 1)), (1, k + 1))
        outputs.append(norm(branch, unit.norm, part))
    torch.testing.assert_close(unit(x), torch.cat(outputs, dim=1).transpose(0, 1))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_norm_with_skip_path_and_relu(training, relu):
    torch.manual_seed(shifted(0))
    norm = ChannelNorm(4, 1, 0.5).train(training)
    x, skip = torch.randn(4, 3, 5, 2), torch.randn(4, 3, 5, 2)
    statistics = norm.running_mean.clone(), norm.running_var.clone()
    y = F.batch_norm(x.view(1, 4, -1), *statistics, norm.weight, norm.bias, training).view(x.shape)
    end = F.relu if relu else lambda y: y
    assert torch.equal(norm(x, skip, relu=relu), end(y + skip))
    assert torch.equal(NoNorm()(x, skip, relu=relu), end(x + skip))
    assert torch.equal(NoNorm()(x, relu=relu), end(x))


@pytest.mark.parametrize("folded", [False, True])
def test_temporal_unit_with_skip_path_and_relu(folded):
    torch.manual_seed(shifted(0))
    unit = MultiScaleTemporal(8, 2).eval().requires_grad_(False)
    unit = fold(unit) if folded else unit
    x, skip = torch.randn(8, 3, 5, 9), torch.randn(8, 3, 5, 5)
    assert torch.equal(unit(x, skip, relu=True), F.relu(unit(x) + skip))
    assert torch.equal(unit(x, skip), unit(x) + skip)
    assert torch.equal(unit(x, relu=True), F.relu(unit(x)))
