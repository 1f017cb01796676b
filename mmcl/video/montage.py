"""Crops side by side: one picture per clip (rule `concatenate_frames`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcl import store
from mmcl.errors import UserError
from mmcl.settings.jobs import Montages
from mmcl.settings.video import MontageSettings
from mmcl.video import jpeg

SCHEMA = "mmcl.montages/1"


def join(crops: Sequence[np.ndarray], settings: MontageSettings) -> np.ndarray:
    """Crops left to right as upright strips of a square picture (five on 480×480: 96×480 each), bicubic.

    Args:
        crops: n pictures (H_i, W_i, 3) uint8 of any size.
        settings: `size` is the side of the result; with `keep_aspect` every crop is fitted into its strip on black
            instead of stretched.

    Returns:
        (size, size, 3) uint8.
    """
    from PIL import Image

    size = settings.size
    picture = np.zeros((size, size, 3), np.uint8)
    for i, crop in enumerate(crops):
        left, right = i * size // len(crops), (i + 1) * size // len(crops)
        width, height = right - left, size
        if settings.keep_aspect:
            scale = min(width / crop.shape[1], height / crop.shape[0])
            width, height = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        strip = np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC))
        top, start = (size - height) // 2, left + (right - left - width) // 2
        picture[top : top + height, start : start + width] = strip
    return picture


def concatenate_frames(crops: Path, output: Path, settings: Montages) -> None:
    """Make a shard's montages, `mmcl.montages/1`, from its crops.

    Clips without crops stay failed, with their reason.

    Args:
        crops: sealed `mmcl.crops/1`.
        output: where to write.
        settings: of the stage.
    """
    table = store.Shards([crops], "mmcl.crops/1")

    def work(names: list[str]) -> store.Batch:
        images: dict[str, bytes] = {}
        failed = {name: table.failed[name] for name in names if name in table.failed}
        for name in names:
            if name in failed:
                continue
            try:
                pictures = [jpeg.decode(data) for data in table.row("images", name)]
                images[name] = jpeg.encode(join(pictures, settings.montage), settings.jpeg_quality)
            except UserError as error:
                failed[name] = str(error)
        return store.Batch(list(images), {"images": list(images.values())}, failed)

    store.write(
        output,
        schema=SCHEMA,
        settings=settings.dump(),
        names=sorted([*table.names, *table.failed]),
        columns=store.columns(SCHEMA),
        batch_size=settings.batch,
        work=work,
        inputs=[crops],
    )
