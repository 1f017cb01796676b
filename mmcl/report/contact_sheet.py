"""Thumbnails of a picture store on one sheet."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcl.errors import UserError
from mmcl.files import written
from mmcl.store import opened
from mmcl.video import jpeg

PICTURES = ("mmcl.crops/1", "mmcl.montages/1")
THUMBNAIL = 192
CAPTION = 18
LINE = 13
MARGIN = 4
UPRIGHT = 2.5
"""Height of a person's crop by its width, usually: decides in how many lines a clip's crops are put."""
ACROSS = 6

log = logging.getLogger(__name__)


def contact_sheet(
    paths: Sequence[str | Path],
    output: str | Path,
    count: int = 24,
    captions: dict[str, str] | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> int:
    """Write a PNG with clips of crop or montage stores, evenly chosen over all of them or those that are named.

    Args:
        paths: sealed stores of schema mmcl.crops/1 or mmcl.montages/1.
        output: the PNG file.
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
    across = min(ACROSS, len(chosen))
    down = -(-len(chosen) // across)
    cell = (THUMBNAIL + MARGIN, THUMBNAIL + CAPTION + LINE * lines + MARGIN)
    title_width = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), title)[2]
    size = max(across * cell[0], int(title_width) + MARGIN) + MARGIN, above + down * cell[1] + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((MARGIN, MARGIN), title, fill="black", spacing=3)
    for place, (path, row, name) in enumerate(chosen):
        with opened(path) as h5:
            stored = h5["images"][row]
        # several crops a clip are an object array of byte rows, one montage is a byte row
        images = list(stored) if stored.dtype == object else [stored]
        x, y = MARGIN + place % across * cell[0], above + MARGIN + place // across * cell[1]
        stacked = max(1, round((len(images) / UPRIGHT) ** 0.5))
        columns = max(1, -(-len(images) // stacked))
        width, height = THUMBNAIL // columns, THUMBNAIL // stacked
        for number, image in enumerate(images):
            try:
                picture = Image.fromarray(jpeg.decode(image))
            except UserError as error:
                log.warning("%s: picture of %s left out (%s)", path, name, error)
                continue
            picture.thumbnail((width, height))
            sheet.paste(picture, (x + number % columns * width, y + number // columns * height))
        draw.multiline_text((x, y + THUMBNAIL + 2), captions.get(name, name), fill="black", spacing=3)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with written(output) as temporary:
        sheet.save(temporary, format="PNG")
    return len(chosen)


def _names(path: str | Path) -> list[str]:
    with opened(path) as h5:
        if h5.attrs["schema"] not in PICTURES:
            raise UserError(
                f"{path}: a store of {h5.attrs['schema']} holds no pictures; {' and '.join(PICTURES)} do"
            )
        names: list[str] = h5["names"].asstr()[:].tolist()
        return names
