"""The rules of the demo's weights: train one network on drawn pictures, and measure the result."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mmcl.demo import measure_weights
from mmcl.demo.pictures import Pictures, draw_training_pictures
from mmcl.demo.train_cnn import train_cnn
from mmcl.demo.train_detector import train_detector
from mmcl.demo.train_pose import train_pose
from mmcl.demo.train_vlm import train_vlm
from mmcl.files import write_text
from mmcl.naming import PROJECT, sha256
from mmcl.settings.base import replaced
from mmcl.settings.demo import DemoWeightsSettings, NetworkTraining

FOLDER = PROJECT / "resources" / "demo"


class Network(NamedTuple):
    """One of the demo's networks.

    Attributes:
        weights: the file, or the folder.
        train: see `mmcl.demo.train_cnn.train_cnn`.
        measure: weights, settings, pictures → figures.
        settings: its part of the settings.
    """

    weights: Path
    train: Callable[[Path, Path, DemoWeightsSettings, Path, int], list[float]]
    measure: Callable[[Path, DemoWeightsSettings, Pictures], dict[str, Any]]
    settings: Callable[[DemoWeightsSettings], NetworkTraining]

    @property
    def file(self) -> Path:
        """The file with the weights."""
        return self.weights / "model.safetensors" if self.weights.is_dir() else self.weights


def draw_part(part: str, output: Path, settings: DemoWeightsSettings, threads: int) -> None:
    """Draw the pictures of `train` or `held_out` into a store `mmcl.training_pictures/2`."""
    pictures = {"train": settings.train, "held_out": settings.held_out}[part]
    draw_training_pictures(output, replaced(pictures, seed=pictures.seed + settings.seed), threads)


def train_and_measure(
    network: str, pictures: Path, held_out: Path, output: Path, settings: DemoWeightsSettings, threads: int
) -> None:
    """Train one network into `resources/demo` and write its figures on held-out subjects as JSON.

    Args:
        network: `detector`, `vlm`, `cnn` or `pose`.
        pictures: drawn training pictures.
        held_out: drawn pictures of other subjects.
        output: the JSON file: settings, losses, figures, size in bytes, sha256. A folder of the same name without
            suffix holds the state of an unfinished training.
        settings: of all networks.
        threads: CPU threads of torch.
    """
    trained = NETWORKS[network]
    work = output.with_suffix("")
    losses = trained.train(pictures, trained.weights, settings, work, threads)
    work.rmdir()
    trained.file.chmod(0o644)  # safetensors writes files that only their owner can read
    note = {
        "settings": {"seed": settings.seed, **trained.settings(settings).dump()},
        "loss": losses,
        "held_out": trained.measure(trained.weights, settings, Pictures(held_out)),
        "bytes": trained.file.stat().st_size,
        "sha256": sha256(trained.weights),
    }
    write_text(output, json.dumps(note, indent=1) + "\n")


def write_figures(held_out: Path, recordings: dict[str, Path], settings: DemoWeightsSettings) -> None:
    """Measure the weights in `resources/demo` and write `resources/demo/figures.json`, which its README quotes.

    Args:
        held_out: drawn pictures of the held-out subjects.
        recordings: name → folder of a drawn data set with `drawn.json`.
        settings: of all networks.
    """
    parts = {"held_out": measure_weights.measure_pictures(held_out, FOLDER, settings)}
    parts |= {
        name: measure_weights.measure_recordings(path, FOLDER, settings) for name, path in recordings.items()
    }
    figures: dict[str, dict[str, Any]] = {}
    for name, network in NETWORKS.items():
        figures[name] = {part: measured[name] for part, measured in parts.items() if name in measured}
        figures[name] |= {"bytes": network.file.stat().st_size, "sha256": sha256(network.weights)}
        figures[name]["settings"] = {"seed": settings.seed, **network.settings(settings).dump()}
    write_text(FOLDER / "figures.json", json.dumps(figures, indent=1) + "\n")


def _measure_vlm(weights: Path, settings: DemoWeightsSettings, table: Pictures) -> dict[str, Any]:
    return dict(measure_weights.measure_vlm(weights, list(table.montages()), table.facts()))


def _measure_cnn(weights: Path, settings: DemoWeightsSettings, table: Pictures) -> dict[str, Any]:
    montages = list(table.montages())
    return dict(measure_weights.measure_cnn(weights, settings.cnn, montages, table.facts()))


def _measure_detector(weights: Path, settings: DemoWeightsSettings, table: Pictures) -> dict[str, Any]:
    return dict(measure_weights.measure_detector(weights, settings.detector, list(table.frames())))


def _measure_pose(weights: Path, settings: DemoWeightsSettings, table: Pictures) -> dict[str, Any]:
    return dict(measure_weights.measure_pose(weights, settings.pose, list(table.people())))


NETWORKS = {
    "detector": Network(
        FOLDER / "detector.safetensors", train_detector, _measure_detector, lambda settings: settings.detector
    ),
    "vlm": Network(FOLDER / "vlm", train_vlm, _measure_vlm, lambda settings: settings.vlm),
    "cnn": Network(FOLDER / "cnn.safetensors", train_cnn, _measure_cnn, lambda settings: settings.cnn),
    "pose": Network(FOLDER / "pose.safetensors", train_pose, _measure_pose, lambda settings: settings.pose),
}
