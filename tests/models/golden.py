"""Reference-shaped checkpoints and inputs that the golden logits belong to."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parents[1] / "golden"


def load(name: str) -> tuple[dict[str, torch.Tensor], torch.Tensor, np.lib.npyio.NpzFile]:
    """State dict (weights that follow from the entries' names), input and golden arrays."""
    about = json.loads((FOLDER / f"{name}.json").read_text())
    arrays = np.load(FOLDER / f"{name}.npz")
    state = {key: _entry(key, shape, arrays["adjacency"]) for key, shape in about["keys"].items()}
    x = np.random.default_rng(20260101).normal(0, 0.3, about["input_shape"])
    return state, torch.from_numpy(x.astype(np.float32)), arrays


def _entry(name: str, shape: list[int], adjacency: np.ndarray) -> torch.Tensor:
    random = np.random.default_rng(zlib.crc32(name.replace(".conv_d.", ".conv.5.").encode()))
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.tensor(0)
    if last in ("PA", "A"):
        value = adjacency
    elif last == "running_var" or (len(shape) == 1 and last == "weight"):
        value = random.uniform(0.5, 1.5, shape)
    elif len(shape) >= 2:
        value = random.normal(0, np.prod(shape[1:]) ** -0.5, shape)
    else:
        value = random.normal(0, 0.1, shape)
    return torch.from_numpy(np.asarray(value, np.float32))
