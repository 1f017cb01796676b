"""Pictures as JPEG bytes."""

import numpy as np

from mmcl.errors import UserError


def encode(rgb: np.ndarray, quality: int) -> bytes:
    """Compress a picture.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        quality: 1 to 100.
    """
    import cv2

    encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not encoded:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be written as JPEG")
    return data.tobytes()


def decode(data: bytes | np.ndarray) -> np.ndarray:
    """Read a picture: JPEG bytes, or the same as a uint8 array, to (H, W, 3) uint8, RGB.

    Raises:
        UserError: the bytes are not a picture.
    """
    import cv2

    data = np.frombuffer(data, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise UserError(f"{len(data)} bytes that are not a JPEG picture")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
