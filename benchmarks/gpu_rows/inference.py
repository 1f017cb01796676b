"""Recognising clips: the plain network, eager in float32, against what `mmcl predict` and scoring run."""

import functools

import torch

from gpu_rows.measurement import Measurement
from gpu_rows.training import NTU, one_batch, ours, plain
from mmcl.models.inference import Inference

BATCH = 256


def clips(measurement: Measurement, people: str) -> None:
    """A row: a batch of clips of two people, or of one beside an absent one, whom the plain network computes, too."""
    shape = NTU.tried(measurement.tiny)
    if not measurement.tiny:
        shape = shape._replace(batch=BATCH)
    x, _ = one_batch(shape, measurement.device)
    if people == "one":
        x[..., 1] = 0
    measurement.report(unit="clips/s", batch=len(x), precision="bf16")

    reference = plain("ctrgcn", shape).to(measurement.device).eval()
    weights = {name: value.cpu() for name, value in reference.state_dict().items()}
    with torch.inference_mode():
        measurement.begin_memory()
        measurement.reference(measurement.timed(functools.partial(reference, x), warm=5), len(x))
        expected = reference(x)
    del reference

    net = Inference(ours("ctrgcn", shape, weights).backbone.eval(), torch.bfloat16).to(measurement.device)
    with torch.inference_mode():
        measurement.begin_memory()
        measurement.ours(measurement.timed(lambda: net(x), warm=5), len(x))
        error = (net(x) - expected).abs().max() / expected.abs().max()
        measurement.report(lines=[f"logits differ by up to {100 * error.item():.2g} % of the largest"])
        measurement.profile(lambda: net(x))
