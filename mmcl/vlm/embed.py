"""Embeddings of every montage, from which questions are answered (rule `embed_pictures`)."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmcl import store
from mmcl.ahead import ahead, depth
from mmcl.device import pick_device
from mmcl.errors import memory_reported
from mmcl.naming import find, sha256
from mmcl.settings.base import narrowed, replaced
from mmcl.settings.jobs import Embedding
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm import open_vlm
from mmcl.vlm.answer import EMBEDDINGS, MONTAGES, montage_of

TOO_LARGE = "the picture's embedding is not finite in half precision; set vlm.cache_images: false"


def embed_pictures(montages: Path, output: Path, settings: Embedding, threads: int) -> None:
    """Encode every montage of a shard, `mmcl.embeddings/1`: what the vision encoder makes of it, in half precision.

    Args:
        montages: sealed `mmcl.montages/1`; clips that failed there fail here for the same reason.
        output: where to write.
        settings: of the stage.
        threads: CPU threads of torch, and of reading and decoding pictures; they change a result by rounding alone.

    Raises:
        UserError: the weights are missing, or another process writes this store.
    """
    import torch

    torch.set_num_threads(threads)
    source = store.Shards([montages], MONTAGES)
    device = pick_device()
    vlm: Any = open_vlm(narrowed(VlmSettings, settings), device)
    # with the sha256 of the weights, so that a store begun with other weights is not continued
    settings = replaced(settings, sha256=sha256(find(settings.weights)))
    target = store.Target(
        output,
        schema=EMBEDDINGS,
        settings=settings.dump(),
        names=sorted([*source.names, *source.failed]),
        columns=store.columns(EMBEDDINGS, states=vlm.embedding),
        batch_size=settings.batch,
        inputs=[montages],
    )

    def work(wanted: Sequence[store.Wanted]) -> Iterator[list[store.Batch]]:
        batches = [names for names, _ in wanted]
        further = depth(device.type != "cpu", threads)
        for names, found in zip(
            batches, ahead(batches, partial(montage_of, source, vlm), threads, further), strict=True
        ):
            failed = {name: why for name, why in zip(names, found, strict=True) if isinstance(why, str)}
            good = [name for name in names if name not in failed]
            images = [image for image in found if not isinstance(image, str)]
            states = vlm.embed(images) if images else np.empty((0, *vlm.embedding), np.float16)
            yield [store.only_finite(store.Batch(good, {"states": states}, failed), "states", TOO_LARGE)]

    with memory_reported(f"lower vlm.batch (now {settings.batch})"):
        store.write_stream([target], work)
