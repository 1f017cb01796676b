"""Features of a frozen CNN for every montage (rule `encode_montages`)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmcl import store
from mmcl.device import pick_device
from mmcl.errors import memory_reported
from mmcl.settings.jobs import Encoding
from mmcl.video import jpeg

SCHEMA = "mmcl.rgb/1"


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

    from mmcl.models.cnn import open_cnn, pretrained, weights_sha256

    if weights:
        settings = pretrained(settings, weights)
    torch.set_num_threads(max(1, threads))
    # without validation, see `pretrained`
    used = settings.model_copy(update={"sha256": weights_sha256(settings)})
    table = store.Shards([montages], "mmcl.montages/1")
    device = pick_device()
    net = open_cnn(settings).eval().requires_grad_(False).to(device)

    def work(names: list[str]) -> store.Batch:
        failed = {name: table.failed[name] for name in names if name in table.failed}
        images: dict[str, np.ndarray] = {}
        left = [name for name in names if name not in failed]
        pictures = list(pool.map(_decode, [table.row("images", n) for n in left]))
        size = jpeg.usual_shape(picture for picture in pictures if isinstance(picture, np.ndarray))
        for name, picture in zip(left, pictures, strict=True):
            if isinstance(picture, str):
                failed[name] = picture
            elif picture.shape != size:
                failed[name] = (
                    f"a montage of {picture.shape[1]} × {picture.shape[0]} pixels, unlike the others"
                )
            else:
                images[name] = picture
        features = np.empty((0, net.feature_dim), np.float32)
        if images:
            with torch.inference_mode():
                batch = torch.from_numpy(np.stack(list(images.values()))).to(device)
                features = net(batch).float().cpu().numpy()
        found = store.Batch(list(images), {"features": features}, failed)
        return store.only_finite(found, "features", "the CNN's features are not finite")

    remedy = f"lower model.fam.cnn.batch (now {settings.batch})"
    with memory_reported(remedy), ThreadPoolExecutor(max(1, threads)) as pool:
        store.write(
            output,
            schema=SCHEMA,
            settings=used.dump(),
            names=sorted([*table.names, *table.failed]),
            columns=store.columns(SCHEMA, features=(net.feature_dim,)),
            batch_size=settings.batch,
            work=work,
            inputs=[montages],
        )


def _decode(data: np.ndarray) -> np.ndarray | str:
    try:
        return jpeg.decode(data)
    except jpeg.Unreadable as error:
        return str(error)
