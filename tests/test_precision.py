"""Which arithmetic a GPU is told to use."""

import pytest
import torch

from mmcl.engine.precision import arithmetic, autocast
from mmcl.precision import exact, products, searched_convolutions


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", True)])
def test_matrices_and_convolutions_follow_the_setting_and_are_put_back(precision, tf32):
    before = flags()
    with arithmetic(precision):
        assert flags() == (tf32, tf32)
    assert flags() == before


def test_exact_products_within_any_precision():
    a = torch.full((2, 2), 1 + 2**-12)
    with autocast("bf16", torch.device("cpu")):
        assert (a @ a).dtype == torch.bfloat16
        with exact(a.device):
            torch.testing.assert_close(a @ a, 2 * a.square(), rtol=1e-6, atol=0)
    with products(tf32=True), products(tf32=False):
        assert flags() == (False, False)


def test_searching_ends():
    assert not torch.backends.cudnn.benchmark
    with searched_convolutions():
        assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.benchmark
