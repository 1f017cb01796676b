"""Plots of training and of what is mistaken for what."""

from pathlib import Path
from typing import Any

import numpy as np

from mmcl.files import written

LARGEST = 400.0
"""Inches of a side; matplotlib draws no picture of more than 65,535 pixels."""


def plot_confusion(counts: np.ndarray, names: list[str], title: str, output: Path) -> None:
    """Confusion matrix, rows normalised to the class's clips.

    Args:
        counts: (C, C) clips by class and by what they were recognised as, as `mmcl.evaluation.metrics.confusion`.
        names: of all classes.
        title: above the plot.
        output: PNG file.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    plt = pyplot()
    side = min(LARGEST, max(5.0, 0.28 * len(names) + 2.5))
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("recognised as")
    axes.set_ylabel("class")
    axes.set_title(title, fontsize=10)
    if len(names) <= 20:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, int(counts[row, column]), ha="center", va="center", fontsize=7, color=colour
            )
    figure.colorbar(image, shrink=0.7, label="share of the class's clips")
    with written(output) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def plot_history(histories: dict[str, Path], title: str, output: Path) -> None:
    """Loss and training accuracy over the epochs of several runs.

    Args:
        histories: label → history.csv.
        title: above the plot.
        output: PNG file.
    """
    import pandas as pd
    from matplotlib.ticker import LogFormatter

    plt = pyplot()
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for label, path in histories.items():
        history = pd.read_csv(path)
        loss.plot(history["epoch"], history["loss"], label=label)
        accuracy.plot(history["epoch"], history["accuracy"], label=label)
    loss.set(xlabel="epoch", ylabel="total loss", yscale="log")

    class Plain(LogFormatter):
        """Labels the same ticks, as 0.6 and not as 6e-01."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    # matplotlib's own would write the numbers as formulas, see `pyplot`
    loss.yaxis.set_major_formatter(Plain())
    loss.yaxis.set_minor_formatter(Plain())
    accuracy.set(xlabel="epoch", ylabel="accuracy on training clips, %", ylim=(0, 101))
    accuracy.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    with written(output) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def pyplot() -> Any:
    """matplotlib.pyplot that writes files; a name with dollar signs is no formula."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False
    import matplotlib.pyplot as plt

    return plt
