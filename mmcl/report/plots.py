"""How plots look, and the confusion matrix."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.files import written

LARGEST = 400.0
"""Inches of a side; matplotlib draws no picture of more than 65,535 pixels."""
WIDTH = 5.4
"""Inches of most plots: on a telephone's screen they are readable without scrolling."""
DPI = 150
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a6761d", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, with a brown for their yellow and orange."""
DASHES = ("-", "--", "-.", ":")
"""Line styles; they change where the colours begin anew."""
NAMED = 40
"""Classes up to which a confusion matrix names all of them."""


def plot_confusion(counts: np.ndarray, names: Sequence[str], title: str, output: Path) -> None:
    """Confusion matrix, rows normalised to the class's clips.

    Up to 40 classes their names stand beside it; with more, the matrix keeps its size and every tenth class is
    numbered: which are mistaken for each other is for a table.

    Args:
        counts: (C, C) clips by class and by what they were recognised as, as `mmcl.evaluation.metrics.confusion`.
        names: of all classes.
        title: above the plot.
        output: PNG file.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    from matplotlib.colors import PowerNorm

    plt = pyplot()
    few = len(names) <= NAMED
    side = max(2.2, 0.24 * len(names))
    size = (side + 2.6, side + 1.8) if few else (WIDTH, WIDTH - 0.6)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    # of many classes the squares are small: a scale of square roots lets rare mistakes be seen
    norm = PowerNorm(1.0 if few else 0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    if few:
        labels = [short(name, 24) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=90)
        axes.set_yticks(range(len(names)), labels)
    else:
        ticks = [0, *range(9, len(names), 10)]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, [str(tick + 1) for tick in ticks])
    number = "" if few else ", by its number"
    axes.set(xlabel=f"recognised as{number}", ylabel=f"class{number}")
    figure.suptitle(heading(title), fontsize=10)
    if len(names) <= 20:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(counts[row, column]), ha="center", va="center", color=colour)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1] if few else [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
    figure.colorbar(image, shrink=0.7, label="share of the class's clips", ticks=ticks, format="{x:g}")
    save(figure, output)


def heading(title: str) -> str:
    """A title whose lines fit a plot."""
    return "\n".join(short(line, 64) for line in title.splitlines())


def short(text: str, most: int) -> str:
    """A text on one line, cut where it is longer than `most` characters; signs that no font has are replaced."""
    text = "".join(sign if sign.isprintable() else "�" for sign in " ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def save(figure: Any, output: Path) -> None:
    """Write a figure to a PNG file, and give its memory back."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with written(output) as temporary, warnings.catch_warnings():
        # a name in a script that the font lacks: its id stands before it
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(temporary, dpi=DPI)
    pyplot().close(figure)


def pyplot() -> Any:
    """matplotlib.pyplot that writes files; a name with dollar signs is no formula."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "text.parse_math": False,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    import matplotlib.pyplot as plt

    return plt
