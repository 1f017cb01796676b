"""Text on pictures, in a font that has more letters than OpenCV's."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

INK, GREY, RED = (30, 30, 30), (110, 110, 110), (190, 30, 30)


@cache
def font(size: int) -> Any:
    """DejaVu Sans, which comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)


def width_of(text: str, size: int) -> int:
    """Pixels that a line takes."""
    return int(np.ceil(font(size).getlength(text)))


def write(
    image: np.ndarray, at: tuple[int, int], text: str, size: int = 13, colour: tuple[int, int, int] = INK
) -> None:
    """Write a line with its upper left corner at a place of a picture (H, W, 3), in the picture itself."""
    from PIL import Image, ImageDraw

    x, y = at
    part = image[y : y + size + 6, x : x + width_of(text, size) + 2]
    if not part.size:
        return
    drawn = Image.fromarray(np.ascontiguousarray(part))
    ImageDraw.Draw(drawn).text((0, 0), text, fill=colour, font=font(size))
    part[:] = np.asarray(drawn)


def wrapped(text: str, width: int, size: int = 13, most: int = 3) -> list[str]:
    """A text in at most so many lines of a width in pixels; what is longer ends in dots."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and width_of(longer, size) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    kept = [shortened(one, width, size) for one in lines[:most]]
    if len(lines) > most:
        kept[-1] = shortened(f"{kept[-1]} …", width, size) if kept[-1][-1:] != "…" else kept[-1]
    return kept


def shortened(text: str, width: int, size: int = 13) -> str:
    """A line that is cut with dots where it is wider than so many pixels."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"
