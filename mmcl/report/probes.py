"""The accuracies of probed encoders, as a table."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def probes(result: dict[str, Any]) -> "Table":
    """A table of `results/<benchmark>/ikem/result.json`: one row per encoder, two columns for each of what was probed.

    Figures are means over the seeds, with the standard deviation where there are several.
    """
    from rich.table import Table

    probed = result["probes"]
    clips = next(iter(probed.values()))["clips"]
    table = Table(
        title=f"{result['benchmark']}: encoders that saw no label, accuracy in %, {clips} test clips"
    )
    table.add_column("encoder")
    for what in probed:
        table.add_column(f"{what}: linear", justify="right")
        table.add_column("1-NN", justify="right")
    rows = dict.fromkeys(name for part in probed.values() for name in part["encoders"])
    for name in rows:
        found = [part["encoders"].get(name) for part in probed.values()]
        table.add_row(name, *(cell for one in found for cell in _cells(one, one)))
    table.add_section()
    together = [part["together"] for part in probed.values()]
    table.add_row("together", *(cell for one in together for cell in _cells(one["trained"], one)))
    return table


def _cells(linear: dict[str, Any] | None, neighbours: dict[str, Any] | None) -> tuple[str, str]:
    """Linear probe and nearest neighbour; empty where there is no such encoder, or where k = 1 was not configured."""
    if linear is None or neighbours is None:
        return "", ""
    nearest = neighbours["knn"].get("1")
    return _figure(linear["top1"]), _figure(nearest) if nearest else ""


def _figure(value: dict[str, Any]) -> str:
    return f"{value['mean']:.2f}" + ("" if value["sd"] is None else f" ± {value['sd']:.2f}")
