"""`history.csv`: the learning rate, the mean of every term, and the accuracy of each epoch."""

import csv
import io
from collections.abc import Sequence

Row = dict[str, float]
"""An epoch: column → value."""
ACCURACIES = ("accuracy", "test_top1")


def as_csv(history: Sequence[Row]) -> str:
    """All epochs as a table, columns in the order of their first appearance; empty where an epoch has no value."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, dict.fromkeys(column for row in history for column in row), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def as_line(row: Row) -> str:
    """An epoch as a line of the log."""
    accuracies = [f"{key} {row[key]:.2f} %" for key in ACCURACIES if key in row]
    return f"epoch {row['epoch']}: " + ", ".join([f"loss {row['loss']:.4f}", *accuracies])
