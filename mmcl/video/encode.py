"""Features of a frozen CNN for every montage (rule `encode_montages`)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcl import store
from mmcl.ahead import ahead, behind, depth, fetch, upload
from mmcl.device import pick_device
from mmcl.errors import memory_reported
from mmcl.settings.jobs import Encoding
from mmcl.video import jpeg

SCHEMA = "mmcl.rgb/1"


class Ready(NamedTuple):
    """A montage: its shape as stored, and the picture at the CNN's size (S, S, 3) uint8."""

    shape: tuple[int, ...]
    picture: np.ndarray


def encode_montages(
    montages: Path, output: Path, settings: Encoding, threads: int, weights: Path | None = None
) -> None:
    """Compute a shard's CNN features, `mmcl.rgb/1`, from its montages.

    Clips without a montage stay failed, with their reason.

    Args:
        montages: sealed `mmcl.montages/1`.
        output: where to write.
        settings: of the stage.
        threads: pictures decoded in parallel, and threads of the network.
        weights: of the rule `pretrain_cnn`, in place of those that the settings name.

    Raises:
        UserError: the CNN cannot be opened.
    """
    import torch

    from mmcl.models.cnn import open_cnn, pretrained, shrink, weights_sha256

    if weights:
        settings = pretrained(settings, weights)
    torch.set_num_threads(max(1, threads))
    # without validation, see `pretrained`
    used = settings.model_copy(update={"sha256": weights_sha256(settings)})
    table = store.Shards([montages], "mmcl.montages/1")
    device = pick_device()
    net = open_cnn(settings).eval().requires_grad_(False).to(device)
    if device.type == "cuda":
        net = net.to(memory_format=torch.channels_last)  # as the pictures are stored
    target = store.Target(
        output,
        schema=SCHEMA,
        settings=used.dump(),
        names=sorted([*table.names, *table.failed]),
        columns=store.columns(SCHEMA, features=(net.feature_dim,)),
        batch_size=settings.batch,
        inputs=[montages],
    )

    def ready(name: str) -> Ready | str:
        if name in table.failed:
            return table.failed[name]
        try:
            picture = jpeg.decode(table.row("images", name))
        except jpeg.Unreadable as error:
            return str(error)
        return Ready(picture.shape, shrink(picture, settings.image_size))

    def begin(names: list[str], found: list[Ready | str]) -> Callable[[], list[store.Batch]]:
        images, failed = _sorted(names, found)
        with torch.inference_mode():
            batch = upload(list(images.values()), device) if images else None
            finish = fetch([] if batch is None else [net(batch).float()])

        def finished() -> list[store.Batch]:
            (features,) = finish() or [np.empty((0, net.feature_dim), np.float32)]
            made = store.Batch(list(images), {"features": features}, failed)
            return [store.only_finite(made, "features", "the CNN's features are not finite")]

        return finished

    def work(wanted: Sequence[store.Wanted]) -> Iterator[list[store.Batch]]:
        batches = [names for names, _ in wanted]
        pictures = ahead(batches, ready, threads, depth(device.type != "cpu", threads))
        return behind(map(begin, batches, pictures), 1 if device.type == "cuda" else 0)

    with memory_reported(f"lower model.fam.cnn.batch (now {settings.batch})"):
        store.write_stream([target], work)


def _sorted(names: list[str], found: list[Ready | str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Clip name → picture, and clip name → why there is none."""
    failed = {name: one for name, one in zip(names, found, strict=True) if isinstance(one, str)}
    there = {name: one for name, one in zip(names, found, strict=True) if isinstance(one, Ready)}
    size = jpeg.usual_shape(one.shape for one in there.values())
    for name, (shape, _) in there.items():
        if shape != size:
            failed[name] = f"a montage of {shape[1]} × {shape[0]} pixels, unlike the others"
    return {name: one.picture for name, one in there.items() if name not in failed}, failed
