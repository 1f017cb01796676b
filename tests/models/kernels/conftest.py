"""All tests here run kernels by Triton's interpreter."""

import pytest

from mmcl.precision import products


@pytest.fixture(autouse=True)
def _interpreted(interpreted):
    pass


@pytest.fixture
def tf32():
    """The precision in which some kernels take float32; the interpreter's products are exact."""
    with products(tf32=True):
        yield
