"""Thumbnails of a picture store on one sheet."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcl.errors import UserError
from mmcl.files import written
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
        even = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
        chosen = [rows[i] for i in np.unique(even)]
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
    pictures = [thumbnail(path, row) for path, row, _ in chosen]
    width = max(picture.width for picture in pictures)
    across = min(max(1, ACROSS * THUMBNAIL // width), len(chosen))
    down = -(-len(chosen) // across)
    cell = (width + MARGIN, THUMBNAIL + CAPTION + LINE * lines + MARGIN)
    title_width = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), title)[2]
    size = max(across * cell[0], int(title_width) + MARGIN) + MARGIN, above + down * cell[1] + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((MARGIN, MARGIN), title, fill="black", spacing=3)
    for place, ((_, _, name), picture) in enumerate(zip(chosen, pictures, strict=True)):
        x, y = MARGIN + place % across * cell[0], above + MARGIN + place // across * cell[1]
        sheet.paste(picture, (x, y))
        draw.multiline_text((x, y + THUMBNAIL + 2), captions.get(name, name), fill="black", spacing=3)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with written(output) as temporary:
        sheet.save(
            temporary,
            format="JPEG" if Path(output).suffix.lower() in (".jpg", ".jpeg") else "PNG",
            quality=85,
        )
    return len(chosen)


def thumbnail(path: str | Path, row: int) -> "Image":
    """A clip of a store of pictures: its montage, or its crops side by side, each in the middle of a place of its own.

    Args:
        path: of a store `mmcl.crops/1` or `mmcl.montages/1`.
        row: of the clip.

    Returns:
        A PIL picture of 192 pixels' height. A picture that is damaged is left out, which is logged.
    """
    from PIL import Image

    with opened(path) as h5:
        stored = h5["images"][row]
        name = h5["names"].asstr()[row]
    # several crops a clip are an object array of byte rows, one montage is a byte row
    images = list(stored) if stored.dtype == object else [stored]
    width = THUMBNAIL if len(images) == 1 else CROP
    whole = Image.new("RGB", (width * len(images), THUMBNAIL), "white" if len(images) == 1 else GROUND)
    for number, image in enumerate(images):
        try:
            picture = Image.fromarray(jpeg.decode(image))
        except UserError as error:
            log.warning("%s: picture of %s left out (%s)", path, name, error)
            continue
        picture.thumbnail((width - 2 * (len(images) > 1), THUMBNAIL))
        left, top = (width - picture.width) // 2, (THUMBNAIL - picture.height) // 2
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
