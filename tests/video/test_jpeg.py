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


def claiming(width: int, height: int) -> bytes:
    """A JPEG picture whose header states another size."""
    data = bytearray(jpeg.encode(np.zeros((8, 8, 3), np.uint8), 95))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(65_535, 8), (8, 65_535), (8192, 4097)])
def test_the_size_is_asked_for_before_decoding(size):
    with pytest.raises(jpeg.Unreadable, match=f"{size[0]} × {size[1]} pixels"):
        jpeg.decode(claiming(*size))


def test_a_picture_too_wide_for_jpeg_is_not_written():
    with pytest.raises(jpeg.Unreadable, match="65501 × 1 pixels"):
        jpeg.encode(np.zeros((1, 65_501, 3), np.uint8), 95)


def test_other_kinds_of_pictures_are_refused():
    import cv2

    for ending in (".png", ".tiff", ".bmp"):
        data = cv2.imencode(ending, np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        with pytest.raises(jpeg.Unreadable, match="not a JPEG picture"):
            jpeg.decode(data)
