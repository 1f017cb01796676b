"""Loss and accuracy over the epochs."""

from pathlib import Path
from typing import Any

from mmcl.report.plots import DASHES, PALETTE, WIDTH, heading, pyplot, save, short

TITLES = {
    "loss": "total loss in training",
    "accuracy": "accuracy on training clips, %",
    "test_top1": "accuracy on test clips, %",
}


def plot_training(found: dict[str, Any], title: str, output: Path) -> None:
    """Draw a panel for the loss and each accuracy, a line a run.

    Args:
        found: of `mmcl.report.collected.training`: the first seed of each label is drawn in full colour.
        title: above the plot.
        output: PNG file.
    """
    from matplotlib.ticker import MaxNLocator

    plt = pyplot()
    columns = found["columns"]
    size = WIDTH, 2.2 * len(columns) + 0.5 + 0.1 * len(found["histories"])
    figure, panels = plt.subplots(len(columns), figsize=size, layout="constrained", squeeze=False)
    for axes, column in zip(panels[:, 0], columns, strict=True):
        for number, (label, histories) in enumerate(found["histories"].items()):
            for seed, history in reversed(list(enumerate(histories))):
                _draw(axes, history, column, number, "" if seed else short(label, 30))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.set_ylim(0, None if column == "loss" else 102)
        axes.set_xlim(0.5, None)
        axes.set_title(TITLES[column], fontsize=9)
        axes.grid(linewidth=0.4, color="#d1d5db")
    panels[-1, 0].set_xlabel("epoch")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(heading(title), fontsize=10)
    save(figure, output)


def _draw(axes: Any, history: dict[str, list[float | None]], column: str, number: int, label: str) -> None:
    # an epoch after which nothing was evaluated has no value
    there = [at for at in zip(history["epoch"], history.get(column, []), strict=False) if at[1] is not None]
    if not there:
        return
    epochs, values = zip(*there, strict=True)
    axes.plot(
        epochs,
        values,
        color=PALETTE[number % len(PALETTE)],
        linestyle=DASHES[number // len(PALETTE) % len(DASHES)],
        linewidth=1.5 if label else 0.8,
        alpha=1.0 if label else 0.45,
        marker="o" if len(there) < 3 else "",
        markersize=4,
        label=label or None,
    )
