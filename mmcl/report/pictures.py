"""The pictures of a report, each from its part of what is collected. Imports no torch: each is a job."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.progress import tracked
from mmcl.report.intervals import Dot, plot_intervals
from mmcl.report.plots import plot_confusion
from mmcl.report.results import Part
from mmcl.report.training_plot import plot_training

ROWS = 30
"""Most classes that a plot names one by one: half of them from either end."""
SUBSETS = {"paper": "the paper's classes", "mapped": "all classes"}
OVER_CLIPS = "top-1 accuracy, %\nwith 95 % intervals over clips"


def accuracy(found: Part, output: Path) -> None:
    """Members and ensemble, with the other seeds."""
    part = found["accuracy"]
    own, members = part["ensemble"], part["members"]
    label, dots = OVER_CLIPS, []
    if len(members) > 1:
        label += "\nin brackets: weight in the ensemble"
        dots = [
            Dot(f"{one['name']} ({100 * one['share']:.0f} %)", one["top1"], one["interval"], "member")
            for one in members
        ]
    name = "ensemble" if dots else members[0]["name"]
    dots.append(Dot(name, own["top1"], own["interval"], "ensemble", tuple(own["seeds"][1:])))
    plot_intervals(dots, label, f"{found['benchmark']}: {part['clips']} test clips", output)


def confusion(found: Part, output: Path) -> None:
    """Confusion matrix of the ensemble."""
    part = found["confusion"]
    plot_confusion(np.array(part["matrix"]), part["names"], f"{found['benchmark']}, ensemble", output)


def classes(found: Part, output: Path) -> None:
    """Accuracy of each class; of many the lowest."""
    rows = [one for one in found["classes"] if one["clips"]]
    title = f"{found['benchmark']}, ensemble\naccuracy of each class"
    if len(rows) > ROWS:
        title = f"{found['benchmark']}, ensemble\nthe {ROWS} of {len(rows)} classes with the lowest accuracy"
    dots = [Dot(f"{one['id']} {one['name']}", one["top1"], one["interval"]) for one in rows[:ROWS]]
    plot_intervals(dots, OVER_CLIPS, title, output)


def gain(found: Part, output: Path) -> None:
    """What each class gains over the baseline; of many the largest gains and losses."""
    part = found["gain"]
    rows = part["per_class"]
    title = f"{found['benchmark']} less {part['baseline']}\nclass by class"
    if len(rows) > ROWS:
        rows = rows[: ROWS // 2] + rows[-ROWS // 2 :]
        title += f": the {ROWS // 2} largest gains and losses of {len(part['per_class'])}"
    dots = [Dot(f"{one['id']} {one['name']}", one["difference"], one["interval_over_clips"]) for one in rows]
    plot_intervals(dots, "points of accuracy\nwith 95 % intervals over clips", title, output, zero=True)


def training(found: Part, output: Path) -> None:
    """Loss and accuracy over the epochs."""
    plot_training(found["training"], f"{found['benchmark']}: training", output)


def pretraining(found: Part, output: Path) -> None:
    """Loss of pre-training and distillation over the epochs."""
    plot_training(found["pretraining"], f"{found['benchmark']}: training without labels", output)


def transfer(found: Part, output: Path) -> None:
    """Zero-shot transfer to all targets."""
    dots = []
    for part in found["transfer"]:
        for one in part["models"]:
            kind = f"{part['target']}, {SUBSETS[part['subset']]}" + (", refined" if one["refined"] else "")
            dots.append(Dot(one["member"], one["top1"], one["interval"], kind))
    plot_intervals(dots, OVER_CLIPS, f"{found['benchmark']}: zero-shot transfer", output)


def probes(found: Part, output: Path) -> None:
    """Linear probes of encoders."""
    part = found["probes"]
    order = list(dict.fromkeys(one["encoder"] for one in part["rows"]))
    rows = sorted(part["rows"], key=lambda one: order.index(one["encoder"]))
    dots = [Dot(one["encoder"], one["first"], one["interval"], one["what"]) for one in rows]
    label = "linear probe, top-1 accuracy, %\nwith 95 % intervals over clips"
    plot_intervals(dots, label, f"{found['benchmark']}: encoders that saw no label", output)


PLOTS: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "accuracy": accuracy,
    "confusion": confusion,
    "classes": classes,
    "gain": gain,
    "training": training,
    "transfer": transfer,
    "probes": probes,
    "pretraining": pretraining,
}
"""Part of a report → how it is drawn."""


def draw_plots(found: Part, folder: Path) -> dict[str, Path]:
    """Draw all parts that are there, as <part>.png of a folder.

    Returns:
        part → file.
    """
    drawn = {}
    for name in tracked([name for name in PLOTS if name in found], "drawing", "pictures"):
        drawn[name] = folder / f"{name}.png"
        PLOTS[name](found, drawn[name])
    return drawn
