"""Pictures as JPEG bytes, and how large pictures from outside may be."""

import io
from collections import Counter
from collections.abc import Iterable

import numpy as np

from mmcl.errors import UserError, one_line

LONGEST = 500
"""Characters of a reason."""


class Unreadable(UserError):
    """A picture or a recording that gives nothing: the reason why a clip has no row.

    The text is bounded, and control characters and what is no Unicode text in a file's name are escaped.
    """

    def __init__(self, text: str):
        text = one_line(text, len(text))
        super().__init__(
            text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[3 - LONGEST // 2 :]}"
        )


MAX_SIDE = 65_500
"""Pixels of a side of a JPEG picture, as libjpeg writes it."""
MAX_PIXELS = 1 << 25
"""Pixels of a picture: 8192 × 4096."""


def refuse_large(width: float, height: float, what: object) -> None:
    """Ask for the size of a picture before it is decoded.

    Args:
        width, height: in pixels.
        what: for the message.

    Raises:
        Unreadable: a side or the whole is too large.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise Unreadable(
            f"{what}: {width:.0f} × {height:.0f} pixels; a side has at most {MAX_SIDE}, a picture {MAX_PIXELS}"
        )


def usual_shape(shapes: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that most pictures have, the first of equals; () of none."""
    counts = Counter(shapes)
    return max(counts, key=lambda shape: counts[shape], default=())


def encode(rgb: np.ndarray, quality: int) -> bytes:
    """Compress a picture.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        quality: 1 to 100.

    Raises:
        Unreadable: the picture is too large.
    """
    import cv2

    refuse_large(rgb.shape[1], rgb.shape[0], "a crop")
    encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not encoded:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be written as JPEG")
    return data.tobytes()


def decode(data: bytes | np.ndarray) -> np.ndarray:
    """Read a picture: JPEG bytes, or the same as a uint8 array, to (H, W, 3) uint8, RGB.

    Raises:
        Unreadable: the bytes are not a JPEG picture, or it is too large.
    """
    import cv2
    from PIL.JpegImagePlugin import JpegImageFile

    data = np.frombuffer(data, np.uint8)
    try:
        # reads the header alone; not by `Image.open`, which ultralytics replaces
        size = JpegImageFile(io.BytesIO(data.data)).size
    except Exception:  # PIL passes on any error that the damage causes
        raise Unreadable(f"{len(data)} bytes that are not a JPEG picture") from None
    refuse_large(*size, "a JPEG picture")
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise Unreadable(f"{len(data)} bytes that are not a JPEG picture")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
