"""What the jobs of a workflow were given, and what they used of it: from Snakemake's benchmark files."""

import ast
import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from mmcl import paths
from mmcl.errors import UserError

Row = dict[str, Any]


def usage(root: Path) -> list[Row]:
    """One row a rule, the rule that used most memory first.

    Of several jobs the most that one was given and the most that one used. What was asked is null in files of runs
    without `benchmark-extended: true`, time also where no scheduler limits it.

    Args:
        root: the working directory of the workflow.

    Returns:
        Rows of rule, jobs, memory_asked_mb, memory_used_mb, minutes_asked, minutes_used, cores_asked, cores_used (the
        mean over the time of all jobs), gpus. Memory is resident memory of all processes of a job, in MB.

    Raises:
        UserError: no job has finished there.
    """
    folder = root / paths.TIMES
    found: dict[str, list[Row]] = defaultdict(list)
    for file in sorted(folder.rglob("*.tsv")):
        found[file.relative_to(folder).parts[0]] += _measured(file)
    if not found:
        raise UserError(f"{folder}: no finished job has left its time and memory there")
    rows = [_of_rule(rule, jobs) for rule, jobs in found.items()]
    return sorted(rows, key=lambda row: -(row["memory_used_mb"] or 0))


def _measured(file: Path) -> list[Row]:
    """The job of a benchmark file."""
    try:
        with open(file, encoding="utf-8", newline="") as lines:
            return [_job(row) for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise UserError(f"{file}: is no benchmark file of Snakemake ({error})") from None


def _job(row: Mapping[str, str]) -> Row:
    given = _plain(row.get("resources"))
    seconds = float(row["s"])
    return {
        "seconds": seconds,
        "cpu": _number(row["cpu_time"]) or 0.0,
        "memory_used_mb": _number(row["max_rss"]),
        "memory_asked_mb": _number(given.get("mem_mb")),
        "minutes_asked": _number(given.get("runtime")),
        "cores_asked": _number(row.get("threads")),
        "gpus": _number(given.get("gpu")),
    }


def _of_rule(rule: str, jobs: list[Row]) -> Row:
    def most(key: str) -> float | None:
        return max((job[key] for job in jobs if job[key] is not None), default=None)

    seconds = sum(job["seconds"] for job in jobs)
    return {
        "rule": rule,
        "jobs": len(jobs),
        **{key: most(key) for key in ("memory_asked_mb", "memory_used_mb", "minutes_asked")},
        "minutes_used": round(max(job["seconds"] for job in jobs) / 60, 2),
        "cores_asked": most("cores_asked"),
        "cores_used": round(sum(job["cpu"] for job in jobs) / max(seconds, 0.01), 2),
        "gpus": most("gpus"),
    }


def _plain(text: str | None) -> Mapping[str, Any]:
    """A dict that Snakemake wrote as Python does; empty where it is none."""
    try:
        value = ast.literal_eval(text or "{}")
    except (ValueError, SyntaxError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A number; None for `NA` and `-`, which Snakemake writes where it measured nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else number


def table(rows: list[Row]) -> Table:
    """The rows of `usage` to print."""

    def number(value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.0f}" if value >= 100 or float(value).is_integer() else f"{value:.1f}"

    shown = Table(title="Asked and used, the most of a rule's jobs; cores used: mean")
    shown.add_column("rule")
    for column in (
        "jobs",
        "MB asked",
        "MB used",
        "min asked",
        "min used",
        "cores asked",
        "cores used",
        "GPUs",
    ):
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(*[row["rule"], *[number(value) for key, value in row.items() if key != "rule"]])
    return shown
