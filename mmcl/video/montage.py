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
    size = settings.size
    ends = [i * size // len(crops) for i in range(len(crops) + 1)]
    strips = [
        fit(crop, right - left, size, keep_aspect=settings.keep_aspect)
        for crop, left, right in zip(crops, ends, ends[1:], strict=False)
    ]
    return np.concatenate(strips, 1)


def fit(crop: np.ndarray, width: int, height: int, *, keep_aspect: bool) -> np.ndarray:
    """A crop (H, W, 3) uint8 on (height, width, 3), bicubic: stretched, or with its proportions amid black."""
    from PIL import Image

    across, up = width, height
    if keep_aspect:
        scale = min(width / crop.shape[1], height / crop.shape[0])
        across, up = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = (height - up) // 2, (width - across) // 2
    resized = np.asarray(Image.fromarray(crop).resize((across, up), Image.Resampling.BICUBIC))
    picture[top : top + up, left : left + across] = resized
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
            stored = table.row("images", name)
            try:
                pictures = [jpeg.decode(data) for data in stored]
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
