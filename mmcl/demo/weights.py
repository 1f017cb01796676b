"""The rules of the demo's weights: train one network on drawn pictures, then measure what was written."""

from __future__ import annotations

import json
from pathlib import Path

from mmcl.demo import measure_weights, train_cnn, train_detector, train_pose, train_vlm
from mmcl.demo.pictures import SETTINGS as PICTURES
from mmcl.demo.pictures import Pictures, draw_training_pictures
from mmcl.naming import PROJECT, sha256

FOLDER = PROJECT / "resources" / "demo"
PARTS = {
    "train": {"subjects": [101, 160], "repeats": 4},
    "held_out": {"subjects": [91, 99], "repeats": 2},
}
"""Subjects that train, and subjects that measure; the demo's own are others again."""


def draw_part(part: str, output: Path, seed: int, threads: int = 1) -> None:
    """Draw the pictures of ``train`` or ``held_out`` into a store ``mmcl.training_pictures/2``."""
    settings = {**PICTURES, **PARTS[part], "seed": PICTURES["seed"] + seed}
    draw_training_pictures(output, settings, threads)


def train_and_measure(
    kind: str, pictures: Path, held_out: Path, output: Path, seed: int, threads: int = 1
) -> None:
    """Train one network into ``resources/demo`` and write its figures on held-out subjects as JSON.

    Args:
        kind: ``detector``, ``vlm``, ``cnn`` or ``pose``.
        pictures: drawn training pictures.
        held_out: drawn pictures of other subjects.
        output: the JSON file: settings, figures, size in bytes, sha256.
        seed: seed of the training.
        threads: CPU threads of torch.
    """
    module, place, measure = KINDS[kind]
    settings = {**module.SETTINGS, "seed": seed}
    loss = getattr(module, f"train_{kind}")(pictures, place, settings, threads)
    file = place / "model.safetensors" if place.is_dir() else place
    file.chmod(0o644)  # safetensors writes files that only their owner can read
    figures = measure(place, Pictures(held_out))
    note = {"settings": settings, "loss": loss, "held_out": figures}
    note |= {"bytes": file.stat().st_size, "sha256": sha256(file)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(note, indent=1) + "\n")


def write_figures(held_out: Path, recordings: dict[str, Path]) -> None:
    """Measure what lies in ``resources/demo`` and write ``resources/demo/figures.json``, which the card quotes.

    Args:
        held_out: drawn pictures of the held-out subjects.
        recordings: name → folder of a drawn data set with ``drawn.json``.
    """
    parts = {"held_out": measure_weights.measure_pictures(held_out, FOLDER)}
    parts |= {name: measure_weights.measure_recordings(path, FOLDER) for name, path in recordings.items()}
    figures = {}
    for kind, (module, place, _) in KINDS.items():
        file = place / "model.safetensors" if place.is_dir() else place
        figures[kind] = {name: measured[kind] for name, measured in parts.items() if kind in measured}
        figures[kind] |= {"bytes": file.stat().st_size, "sha256": sha256(file), "settings": module.SETTINGS}
    (FOLDER / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


def _measure_vlm(place: Path, table: Pictures) -> dict:
    return measure_weights.measure_vlm(place, list(table.montages()), table.facts())


def _measure_cnn(place: Path, table: Pictures) -> dict:
    return measure_weights.measure_cnn(place, list(table.montages()), table.facts())


def _measure_detector(place: Path, table: Pictures) -> dict:
    return measure_weights.measure_detector(place, list(table.frames()))


def _measure_pose(place: Path, table: Pictures) -> dict:
    return measure_weights.measure_pose(place, list(table.people()))


KINDS: dict[str, tuple] = {
    "detector": (train_detector, FOLDER / "detector.safetensors", _measure_detector),
    "vlm": (train_vlm, FOLDER / "vlm", _measure_vlm),
    "cnn": (train_cnn, FOLDER / "cnn.safetensors", _measure_cnn),
    "pose": (train_pose, FOLDER / "pose.safetensors", _measure_pose),
}
"""Network → module that trains it, where its weights lie, how they are measured."""
