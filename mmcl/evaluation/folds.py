"""Cross-validation: the figures of all folds, their mean and its interval."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.evaluation.ensemble import PACKAGES
from mmcl.evaluation.metrics import FIGURES, rounded
from mmcl.files import read_json, write_json, write_text
from mmcl.settings.jobs import FoldsResult
from mmcl.versions import versions

INTERVAL = (
    "95 % interval of the mean by Student's t over folds. Folds share training clips, so it tends to be too narrow "
    "(Bengio and Grandvalet, JMLR 2004)."
)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean ± t(0.975, k − 1) · s / √k of k ≥ 2 values."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    mean = float(np.mean(values))
    return mean - half, mean + half


def write_folds(output: Path, table: Path, *, ensembles: Sequence[Path], settings: FoldsResult) -> None:
    """Write `folds.json` and the same figures as a table.

    A fold's figures are those of its ensemble, means over the seeds; `pooled_top1` is the accuracy over the clips of
    all folds together. A figure that a fold lacks has no mean. Bounds of percentages stay within 0 and 100.

    Args:
        output: the JSON file: benchmark, dataset, protocol, folds [{fold, ensemble, clips, left_out, figures …}], mean,
            sd, interval (figure → low, high), pooled_top1, clips, note, settings, versions.
        table: CSV, a line for each fold, then mean, sd, low and high.
        ensembles: ensemble.json of every fold.
        settings: of the stage.
    """
    folds: list[dict[str, Any]] = []
    for number, path in enumerate(ensembles, 1):
        read = read_json(path)
        counts = {"clips": read["clips"], "left_out": len(read["left_out"])}
        figures = {key: read["mean"][key] for key in FIGURES}
        folds.append({"fold": number, "ensemble": str(path), **counts, **figures})
    lines: dict[str, dict[str, float | None]] = {"mean": {}, "sd": {}, "low": {}, "high": {}}
    for key in FIGURES:
        values = [fold[key] for fold in folds if fold[key] is not None]
        found: tuple[float, ...] = ()
        if len(values) == len(folds) > 1:
            low, high = t_interval(values)
            most = np.inf if key == "nll" else 100.0
            found = (float(np.mean(values)), float(np.std(values, ddof=1)), max(low, 0.0), min(high, most))
        for line, value in zip(lines, found or (None,) * 4, strict=True):
            lines[line][key] = None if value is None else rounded(value, key)
    clips = sum(fold["clips"] for fold in folds)
    right = sum(fold["clips"] * (fold["top1"] or 0) for fold in folds)
    written: dict[str, Any] = {
        "benchmark": settings.benchmark,
        "dataset": settings.dataset,
        "protocol": settings.protocol,
        "folds": folds,
        "clips": clips,
        "mean": lines["mean"],
        "sd": lines["sd"],
        "interval": {key: [lines["low"][key], lines["high"][key]] for key in FIGURES},
        "pooled_top1": rounded(right / clips, "top1") if clips else None,
        "note": INTERVAL,
        "settings": settings.dump(),
        "versions": versions(*PACKAGES),
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["fold", "clips", "left_out", *FIGURES])
    for fold in folds:
        rows.writerow([fold["fold"], fold["clips"], fold["left_out"], *(fold[key] for key in FIGURES)])
    for line, figures in lines.items():
        rows.writerow([line, "", "", *(figures[key] for key in FIGURES)])
    write_text(table, text.getvalue())
    write_json(output, written)
