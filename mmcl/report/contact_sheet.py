"""Thumbnails of a picture store on one sheet."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcl.errors import UserError
from mmcl.files import written
from mmcl.report.spread import spread
from mmcl.store import opened
from mmcl.video import jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = ("mmcl.crops/1", "mmcl.montages/1")
THUMBNAIL = 192
CAPTION = 18
LINE = 13
MARGIN = 4
GROUND = "#e5e7eb"
"""Colour beside crops that are narrower or lower than their place."""
CROP = 68
"""Pixels of the width that one of several crops of a clip has; they stand side by side."""
ACROSS = 6
"""Clips with one picture each in a row; those with several crops are wider, so that there are fewer."""

log = logging.getLogger(__name__)


def contact_sheet(
    paths: Sequence[str | Path],
    output: str | Path,
    count: int = 24,
    captions: dict[str, str] | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> int:
    """Write a sheet with clips of crop or montage stores, evenly chosen over all of them or those that are named.

    Args:
        paths: sealed stores of schema mmcl.crops/1 or mmcl.montages/1.
        output: the file, PNG or JPEG by its suffix.
        count: clips on the sheet at most, where they are not named.
        captions: clip name → what to write below it, instead of its name; it may have several lines.
        names: the clips, in order; those without a picture are left out.
        title: lines above them.

    Returns:
        How many clips are on it.

    Raises:
        UserError: a store without pictures, or none with a clip.
    """
    from PIL import Image, ImageDraw

    rows = [(path, row, name) for path in paths for row, name in enumerate(_names(path))]
    if not rows:
        raise UserError(f"no clip to draw in {', '.join(map(str, paths))}")
    if names is None:
        chosen = spread(rows, count)
    else:
        places = {row[2]: row for row in rows}
        chosen = [places[name] for name in names if name in places]
        if not chosen:
            raise UserError(
                f"{', '.join(map(str, paths))}: none of the {len(names)} clips has a picture here"
            )
    captions = captions or {}
    lines = max(captions.get(name, name).count("\n") for _, _, name in chosen)
    above = LINE * (title.count("\n") + 1) + MARGIN if title else 0
    drawn: dict[tuple[str | Path, int], Image.Image] = {}
    for path in dict.fromkeys(path for path, _, _ in chosen):
        own = [row for place, row, _ in chosen if place == path]
        drawn |= dict(zip([(path, row) for row in own], thumbnails(path, own), strict=True))
    width = max(picture.width for picture in drawn.values())
    across = min(max(1, ACROSS * THUMBNAIL // width), len(chosen))
    down = -(-len(chosen) // across)
    cell = (width + MARGIN, THUMBNAIL + CAPTION + LINE * lines + MARGIN)
    title_width = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), title)[2]
    size = max(across * cell[0], int(title_width) + MARGIN) + MARGIN, above + down * cell[1] + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((MARGIN, MARGIN), title, fill="black", spacing=3)
    for place, (path, row, name) in enumerate(chosen):
        x, y = MARGIN + place % across * cell[0], above + MARGIN + place // across * cell[1]
        sheet.paste(drawn[path, row], (x, y))
        draw.multiline_text((x, y + THUMBNAIL + 2), captions.get(name, name), fill="black", spacing=3)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with written(output) as temporary:
        sheet.save(
            temporary,
            format="JPEG" if Path(output).suffix.lower() in (".jpg", ".jpeg") else "PNG",
            quality=85,
        )
    return len(chosen)


def thumbnails(path: str | Path, rows: Sequence[int]) -> "list[Image]":
    """Clips of a store of pictures: the montage of each, or its crops side by side, each in a place of its own.

    Args:
        path: of a store `mmcl.crops/1` or `mmcl.montages/1`.
        rows: of the clips.

    Returns:
        PIL pictures of 192 pixels' height. A picture that is damaged is left out, which is logged.
    """
    with opened(path) as h5:  # once for all, as its checksum is checked
        stored, names = [h5["images"][row] for row in rows], h5["names"].asstr()[:]
    # several crops a clip are an object array of byte rows, one montage is a byte row
    return [
        _side_by_side(
            list(images) if images.dtype == object else [images], f"{path}: picture of {names[row]}"
        )
        for row, images in zip(rows, stored, strict=True)
    ]


def _side_by_side(images: Sequence[np.ndarray], what: str) -> "Image":
    from PIL import Image

    several = len(images) > 1
    width = CROP if several else THUMBNAIL
    whole = Image.new("RGB", (width * len(images), THUMBNAIL), GROUND if several else "white")
    for number, image in enumerate(images):
        try:
            picture = Image.fromarray(jpeg.decode(image))
        except UserError as error:
            log.warning("%s left out (%s)", what, error)
            continue
        picture.thumbnail((width - 2 * several, THUMBNAIL))
        middle = (width - picture.width) // 2, (THUMBNAIL - picture.height) // 2
        left, top = middle if several else (0, 0)
        whole.paste(picture, (number * width + left, top))
    return whole


def _names(path: str | Path) -> list[str]:
    with opened(path) as h5:
        if h5.attrs["schema"] not in PICTURES:
            raise UserError(
                f"{path}: a store of {h5.attrs['schema']} holds no pictures; {' and '.join(PICTURES)} do"
            )
        names: list[str] = h5["names"].asstr()[:].tolist()
        return names
