"""Values with their intervals, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmcl.report.plots import LARGEST, PALETTE, WIDTH, heading, pyplot, save, short


@dataclass(frozen=True)
class Dot:
    """A value.

    Attributes:
        label: to its left.
        value: of it.
        interval: its ends.
        kind: what has a colour of its own, named in the legend if there are several.
        seeds: the values of further seeds, drawn as small open circles.
    """

    label: str
    value: float
    interval: Sequence[float]
    kind: str = ""
    seeds: tuple[float, ...] = ()


def plot_intervals(dots: Sequence[Dot], xlabel: str, title: str, output: Path, zero: bool = False) -> None:
    """Draw dots with their intervals, the first at the top.

    Args:
        dots: at least one.
        xlabel: what the values are.
        title: above the plot.
        output: PNG file.
        zero: whether values are differences: the axis is symmetric about a line at zero. Otherwise they are percent,
            and the axis begins and ends where the intervals do, at most at 0 and 100.
    """
    plt = pyplot()
    height = min(LARGEST, 0.27 * len(dots) + 1.2)
    figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    kinds = list(dict.fromkeys(dot.kind for dot in dots))
    for kind, colour in zip(kinds, _colours(len(kinds)), strict=True):
        own = [(place, dot) for place, dot in enumerate(dots) if dot.kind == kind]
        for place, dot in own:
            axes.plot(dot.interval, [place] * 2, color=colour, linewidth=1.6)
            axes.plot(dot.seeds, [place] * len(dot.seeds), "o", ms=4, mfc="none", mec=colour, mew=0.8)
        axes.plot([d.value for _, d in own], [p for p, _ in own], "o", ms=5.5, color=colour, label=kind)
    lowest, highest = min(dot.interval[0] for dot in dots), max(dot.interval[1] for dot in dots)
    if zero:
        axes.axvline(0, color="black", linewidth=0.8)
        most = 1.08 * max(-lowest, highest, 0.5)
        axes.set_xlim(-most, most)
    else:
        margin = max(1.0, 0.06 * (highest - lowest))
        axes.set_xlim(max(-2.0, lowest - margin), min(102.0, highest + margin))
    axes.set_yticks(range(len(dots)), [short(dot.label, 36) for dot in dots])
    axes.set_ylim(len(dots) - 0.4, -0.6)
    axes.grid(axis="x", linewidth=0.4, color="#d1d5db")
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel)
    figure.suptitle(heading(title), fontsize=10)
    if len(kinds) > 1:
        figure.legend(loc="outside lower center", ncols=2 if max(map(len, kinds)) < 24 else 1)
    save(figure, output)


def _colours(count: int) -> list[str]:
    return [PALETTE[number % len(PALETTE)] for number in range(count)]
