import numpy as np
import pytest

from mmcl.errors import UserError
from mmcl.video import jpeg


def test_red_stays_red():
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[..., 0] = 200
    back = jpeg.decode(jpeg.encode(picture, 95))
    assert back.shape == (16, 24, 3)
    assert np.abs(back.astype(int) - picture).max() <= 3


def test_reads_arrays_of_a_store():
    data = np.frombuffer(jpeg.encode(np.full((8, 8, 3), 77, np.uint8), 95), np.uint8)
    assert np.abs(jpeg.decode(data).astype(int) - 77).max() <= 1


def test_quality_matters():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(jpeg.encode(noise, 50)) < len(jpeg.encode(noise, 95))


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_other_bytes_are_refused(data):
    with pytest.raises(UserError, match=f"{len(data)} bytes"):
        jpeg.decode(data)
