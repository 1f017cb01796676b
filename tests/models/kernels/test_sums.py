"""Sums over memory by kernels, interpreted, against the sums written out."""

import pytest
import torch
from compiled import Form, compiled

from mmcl.colearn import sums
from mmcl.colearn.sums import log_sums
from mmcl.models import kernels

PAIRS = [(0, 1), (0, 2), (1, 2), (1, 0)]


def drawn(rows, keys, anchors=3):
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.randn(rows, anchors, keys, generator=generator)


@pytest.mark.parametrize("keys", [1, 5, 2048, 2500])
@pytest.mark.parametrize("alone", [True, False])
def test_sums_and_gradients(alone, keys):
    a, b = drawn(3, keys), None if alone else drawn(4, keys)
    pairs = PAIRS if alone else [*PAIRS, (2, 3)]

    def results(a, b, log_sums):
        a = a.clone().requires_grad_()
        own, products = log_sums(a, b)
        slope = torch.arange(1.0, 1 + own.numel() + products.numel()).to(a)
        loss = torch.cat([own, products]).flatten() @ slope
        return own.detach(), products.detach(), torch.autograd.grad(loss, a)[0]

    def written_out(a, b):
        other = a if b is None else b
        products = [torch.logsumexp(0.25 * a[i] * other[j], 1) for i, j in pairs]
        return torch.logsumexp(a, 2), torch.stack(products)

    assert sums._takes(a, b)
    found = results(a, b, lambda a, b: log_sums(a, b, pairs, 0.25))
    expected = results(a.double(), None if b is None else b.double(), written_out)
    for one, exact in zip(found, expected, strict=True):
        assert kernels.apart(one, exact) <= 1


def test_without_pairs():
    a = drawn(2, 30).requires_grad_()
    own, products = log_sums(a)
    assert products.shape == (0, 3)
    own.sum().backward()
    torch.testing.assert_close(a.grad, a.detach().softmax(2))


def test_what_no_kernel_takes():
    assert not sums._takes(drawn(1, 4).double(), None)
    assert not sums._takes(drawn(1, 4), drawn(1, 4).bfloat16())
    assert not sums._takes(drawn(1, 4)[:, :0], None)


def test_they_compile_for_an_h100():
    place, options = "mmcl.models.kernels.triton_sums", {"num_warps": 8}
    pointers = {"a": "*fp32", "b": "*fp32", "first": "*i32", "second": "*i32", "out": "*fp32"}
    sizes = {"scale": "fp32", "anchors": "i32", "keys": "i32"}
    forward = Form(place, "forward_kernel", pointers | sizes, {"BLOCK": 2048}, list(pointers), options)
    pointers = {"a": "*fp32", "b": "*fp32", "partner": "*i32", "number": "*i32", "sums": "*fp32"}
    pointers |= {"slope": "*fp32", "out": "*fp32"}
    sizes = {"scale": "fp32", "rows": "i32", "count": "i32", "anchors": "i32", "keys": "i32"}
    backward = Form(place, "backward_kernel", pointers | sizes, {"BLOCK": 2048}, list(pointers), options)
    for use in compiled([forward, backward]):
        assert use.get("stack", 0) == use.get("local", 0) == 0
        assert use["shared"] <= 10_000
