"""The normalisation that is not written out, against the one that is."""

import pytest
import torch
from seeds import shifted
from torch import nn

from mmcl.models.lazynorm import LazyNorm, WeightedSum, accumulate, weighted_sum

LAYERS, CHANNELS, FRAMES, COUNT, JOINTS = 3, 2, 5, 4, 6


@pytest.fixture
def norms():
    """LazyNorm and PyTorch's, with the same weights of either sign and running statistics."""
    torch.manual_seed(shifted(0))
    lazy, plain = LazyNorm(LAYERS * CHANNELS).double(), nn.BatchNorm1d(LAYERS * CHANNELS).double()
    nn.init.normal_(lazy.weight)
    nn.init.normal_(lazy.bias)
    lazy.running_mean.normal_()
    lazy.running_var.uniform_(0.5, 1.5)
    assert (lazy.weight < 0).any()
    assert (lazy.weight > 0).any()
    plain.load_state_dict(lazy.state_dict())
    return lazy, plain


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_norm_that_is_written_out(norms, training):
    lazy, plain = (norm.train(training) for norm in norms)
    x = torch.randn(LAYERS, CHANNELS, FRAMES, COUNT, JOINTS, dtype=torch.double)
    x[:, :, 3] = x[:, :, 1]  # two frames share a maximum
    x[0, :, :, 2] = 0.5  # a skeleton that does not move
    x.requires_grad_()
    bias = torch.randn(LAYERS, CHANNELS, dtype=torch.double, requires_grad=True)
    weights = torch.rand(LAYERS, CHANNELS, COUNT, dtype=torch.double, requires_grad=True)

    z, scale, shift, peaks = lazy.of(x * lazy.factor().view(LAYERS, CHANNELS, 1, 1, 1), bias)
    total = weighted_sum if not training else WeightedSum.apply
    mixed = total(z, weights * scale[..., None], (weights * shift[..., None]).sum(0))

    y = plain((x + bias[..., None, None, None]).view(1, LAYERS * CHANNELS, -1)).view(x.shape)
    expected_mixed, expected_peaks = (weights[:, :, None, :, None] * y).sum(0), y.amax(2)

    torch.testing.assert_close(mixed, expected_mixed)
    torch.testing.assert_close(peaks, expected_peaks)
    for ours, theirs in zip(lazy.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    a, b = torch.randn_like(mixed), torch.randn_like(peaks)
    ours = torch.autograd.grad(
        (mixed * a).sum() + (peaks * b).sum(), [x, bias, weights, lazy.weight, lazy.bias]
    )
    theirs = torch.autograd.grad(
        (expected_mixed * a).sum() + (expected_peaks * b).sum(),
        [x, bias, weights, plain.weight, plain.bias],
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_channel_that_does_not_vary():
    norm = LazyNorm(LAYERS * CHANNELS)
    z = torch.full((LAYERS, CHANNELS, FRAMES, COUNT, JOINTS), 3.3, requires_grad=True)
    _, _, _, peaks = norm.of(z, torch.zeros(LAYERS, CHANNELS))
    assert peaks.abs().max() < 0.05
    assert torch.autograd.grad(peaks.sum(), z)[0].isfinite().all()


def test_accumulate_adds_in_place():
    z, weights = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 5)
    out = torch.ones(3, 4, 5, 6)
    torch.testing.assert_close(accumulate(out, z, weights), weighted_sum(z, weights, torch.ones(3, 5)))
    assert not torch.equal(out, torch.ones(3, 4, 5, 6))
