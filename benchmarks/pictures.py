"""Feeding the vision-language model: pictures a second that are ready for it, and, on a GPU, answered.

Before: one thread decodes, resizes and normalises. Now: threads decode and resize ahead, bytes travel, and the device
normalises. The pixels are equal bit for bit. `python benchmarks/pictures.py`
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmcl.ahead import ahead, depth
from mmcl.settings.vlm import VlmSettings
from mmcl.video import jpeg
from mmcl.vlm.answer import answers_of
from mmcl.vlm.blip import BLIP_WORDS, Blip

QUESTION = "whether the people are holding objects?"
Form = dict[str, dict[str, float]]
LARGE: Form = {"text": {}, "vision": {}}
"""blip-vqa-capfilt-large: the defaults of transformers, 361 million parameters."""
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY = {"text": SMALL, "vision": SMALL}


def write_random_blip(folder: Path, form: Form = LARGE, seed: int = 0) -> None:
    """Write a BLIP with random weights in bfloat16 to a folder, as `Blip` opens it.

    Args:
        folder: where it is written.
        form: what differs from the defaults of `BlipTextConfig` and `BlipVisionConfig`.
        seed: of the weights.
    """
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipImageProcessor

    from mmcl.demo import vocabulary

    vocabulary.write_tokenizer(folder, [QUESTION, "yes no"])
    text = {
        "vocab_size": BLIP_WORDS,
        "num_attention_heads": 12,
        "bos_token_id": vocabulary.START,
        "sep_token_id": vocabulary.END,
        "pad_token_id": vocabulary.PADDING,
        "encoder_hidden_size": form["vision"].get("hidden_size", 768),
    }
    torch.manual_seed(seed)
    config = BlipConfig(
        text_config=text | form["text"], vision_config={"initializer_range": 0.02} | form["vision"]
    )
    BlipForQuestionAnswering(config).bfloat16().save_pretrained(folder)
    BlipImageProcessor().save_pretrained(folder)


def random_montages(count: int, size: int = 480, seed: int = 0) -> list[bytes]:
    """Smooth random pictures as JPEG, as large as montages are."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, size // 8, size // 8, 3), np.uint8)
    return [jpeg.encode(cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC), 95) for one in coarse]


def batches_of(montages: Sequence[bytes], batch: int) -> list[Sequence[bytes]]:
    """Whole batches of montages."""
    return [montages[i : i + batch] for i in range(0, len(montages) - batch + 1, batch)]


def feed_before(blip: Blip, montages: Sequence[bytes]) -> torch.Tensor:
    """Pixels of a batch as they were made until now."""
    images = [jpeg.decode(data) for data in montages]
    found: torch.Tensor = blip.processor(images=images, size=blip.size, return_tensors="pt")["pixel_values"]
    return found.to(blip.device, blip.dtype)


def feed(blip: Blip, montages: Sequence[bytes], batch: int, threads: int) -> list[torch.Tensor]:
    """Pixels of batch after batch as the rule `answer_question` makes them."""
    decoded = ahead(
        batches_of(montages, batch),
        lambda data: blip.prepare(jpeg.decode(data)),
        threads,
        depth(blip.device, threads),
    )
    return [blip._pixels(images) for images in decoded]


def answers_per_second(blip: Blip, montages: Sequence[bytes], batch: int, threads: int) -> float:
    """Pictures answered a second, by the code of the rule `answer_question`, from JPEG to text.

    Args:
        blip: on the device.
        montages: at least four batches; the first two warm up.
        batch: pictures of a batch.
        threads: that decode.
    """
    decoded = ahead(
        batches_of(montages, batch),
        lambda data: blip.prepare(jpeg.decode(data)),
        threads,
        depth(blip.device, threads),
    )
    asked = ((images, [QUESTION]) for images in decoded)
    ended = [time.perf_counter() for _ in answers_of(blip, asked, queued=blip.device.type == "cuda")]
    return batch * (len(ended) - 2) / (ended[-1] - ended[1])


def vision_per_second(blip: Blip, batch: int, rounds: int = 5) -> float:
    """Pictures a second that the vision encoder alone could see. On a GPU answers_per_second / vision_per_second is the
    part of the time in which it works."""
    from mmcl.vlm import blip_layers

    side = blip.image_size
    pixels = torch.rand(batch, 3, side, side, device=blip.device, dtype=blip.dtype)
    encoder = blip.model.vision_model

    def seconds() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            blip_layers.encode_pictures(encoder, pixels, blip.interpolate)
        if blip.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return batch / float(np.median([seconds() for _ in range(rounds + 1)][1:]))


def one_at_a_time(blip: Blip, montages: Sequence[bytes]) -> float:
    """Pictures answered a second, one after another, by transformers' `generate` with three beams."""
    tokens = blip._tokens(QUESTION)
    start = time.perf_counter()
    for data in montages:
        with torch.inference_mode():
            pixels = feed_before(blip, [data])
            blip.model.generate(
                tokens,
                pixels,
                interpolate_pos_encoding=blip.interpolate,
                num_beams=3,
                max_new_tokens=blip.tokens,
            )
    return len(montages) / (time.perf_counter() - start)


def open_random(folder: Path, device: torch.device, form: Form = LARGE, **settings: Any) -> Blip:
    """A BLIP with random weights, written to a folder and opened from there.

    Args:
        folder: for the weights (0.7 GB); written once.
        device: where it runs.
        form: see `write_random_blip`.
        settings: of `vlm`, such as `dtype` and `image_size`.
    """
    if not (folder / "config.json").exists():
        write_random_blip(folder, form)
    return Blip(VlmSettings(weights=str(folder), **settings), device)


def main() -> None:
    batch, rounds = 16, 8
    montages = random_montages(batch * rounds)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        for size in (480, 384):
            torch.set_num_threads(1)
            blip = open_random(Path(folder), device, TINY, image_size=size)
            for one, other in zip(
                [feed_before(blip, part) for part in batches_of(montages, batch)],
                feed(blip, montages, batch, 1),
                strict=True,
            ):
                assert torch.equal(one, other)
            print(f"feeding BLIP on {device.type}, montages of 480 px, pictures of {size} px")
            start = time.perf_counter()
            for part in batches_of(montages, batch):
                feed_before(blip, part)
            before = len(montages) / (time.perf_counter() - start)
            print(f"  {'before, one thread':<20} {before:8.0f} pictures/s")
            for threads in (1, 2, 4):
                start = time.perf_counter()
                feed(blip, montages, batch, threads)
                now = len(montages) / (time.perf_counter() - start)
                print(f"  {f'now, {threads} thread(s)':<20} {now:8.0f} pictures/s {now / before:8.2f}×")


if __name__ == "__main__":
    main()
