"""`history.csv`: what an epoch came to."""

import csv
import io
from collections.abc import Collection, Iterable

MEANS = ("loss", "cls", "fam", "frm", "aux", "relation", "imitation", "accuracy")
"""What is averaged over the steps of an epoch and over the processes."""
COLUMNS = ("epoch", "lr", *MEANS, "seconds")


def as_csv(history: list[dict[str, float]], tested: bool) -> str:
    """All epochs as a table; with `tested` and its column `test_top1`, empty where nobody looked."""
    return _written(history, (*COLUMNS, "test_top1") if tested else COLUMNS)


def as_table(rows: list[dict[str, float]]) -> str:
    """Rows as a table, its columns in the order of their first appearance; empty where a row has none."""
    return _written(rows, dict.fromkeys(column for row in rows for column in row))


def _written(rows: Iterable[dict[str, float]], columns: Collection[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_line(row: dict[str, float]) -> str:
    """An epoch in a line of the log."""
    found = ", ".join(f"{key} {row[key]:.2f} %" for key in ("accuracy", "test_top1") if key in row)
    return f"epoch {row['epoch']}: loss {row['loss']:.4f}, {found}"
