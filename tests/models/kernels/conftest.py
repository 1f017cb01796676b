"""All tests here run kernels by Triton's interpreter."""

import pytest


@pytest.fixture(autouse=True)
def _interpreted(interpreted):
    pass
