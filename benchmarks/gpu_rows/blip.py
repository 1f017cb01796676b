"""Answers of BLIP's real architecture with random weights, from JPEG to text."""

import os
import tempfile
from pathlib import Path
from statistics import median

import torch

from gpu_rows.measurement import Absent, Measurement

BATCH, DISTINCT, REPEATED, ONE_BY_ONE = 64, 128, 12, 24


def answers(measurement: Measurement) -> None:
    """The row: one picture at a time with three beams by transformers' own classes in float32, and the rule's code."""
    try:
        import cv2  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise Absent(f"{error.name} is not installed") from error
    from pictures import (
        LARGE,
        TINY,
        answers_per_second,
        one_at_a_time,
        open_random,
        random_montages,
        vision_per_second,
    )

    tiny, device = measurement.tiny, measurement.device
    size, batch = (64, 2) if tiny else (480, BATCH)
    form = TINY if tiny else LARGE
    montages = random_montages(batch if tiny else DISTINCT, size)
    measurement.report(unit="pictures/s", batch=batch, precision="bf16")
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        measurement.begin_memory()
        before = open_random(Path(folder), device, form, image_size=size, dtype="float32")
        one_at_a_time(before, montages[:2])
        speed = one_at_a_time(before, montages[: 2 if tiny else ONE_BY_ONE])
        measurement.report(reference=speed, reference_memory=measurement.memory())
        del before
        measurement.begin_memory()
        blip = open_random(Path(folder), device, form, image_size=size, dtype="bfloat16", batch=batch)
    many = montages * (4 if tiny else REPEATED)
    rounds = [answers_per_second(blip, many, batch, threads) for _ in range(1 if tiny else 3)]
    measurement.report(ours=median(rounds), ours_memory=measurement.memory())
    tower = vision_per_second(blip, batch)
    with torch.inference_mode():
        share = 100 * median(rounds) / tower
        lines = [
            f"{threads} threads decode; the vision tower alone {tower:,.0f} pictures/s: "
            f"busy {share:.0f} % of the time (goal 85 %)",
            f"goal 500 pictures/s: {'reached' if median(rounds) >= 500 else 'not reached'}",
        ]
    measurement.report(lines=lines)
    measurement.profile(lambda: answers_per_second(blip, many[: 3 * batch], batch, threads), calls=1)
