"""`mmcl compare`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Example: mmcl compare results/ntu120_xsub_no_fam/ensemble.json results/ntu120_xsub/ensemble.json "
    "--member ctrgcn-natural-joint --json difference.json",
)
def compare(
    benchmarks: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more, the baseline first: finished benchmarks (name, folder or ensemble.json), or folders of "
            "trained streams.",
        ),
    ],
    member: Annotated[
        str | None,
        typer.Option(help="Compare this member of each ensemble alone, such as ctrgcn-natural-joint."),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="top1, top5, mean_class_accuracy, macro_precision, macro_recall, macro_f1, ece or nll."
        ),
    ] = "top1",
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also top1 class by class, the largest gain first.")
    ] = False,
    hard: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also so many clips a side that one of the two always has right and the other never, the most certain "
            "first.",
        ),
    ] = 0,
    json: Json = None,
) -> None:
    """Compare finished benchmarks with the first, paired over seeds and over test clips.

    Over seeds: differences and the 95 % t-interval of their mean. Over clips: 95 % bootstrap interval of the
    difference averaged over seeds, and McNemar's exact test of each seed. Differences are candidate less baseline.
    """
    from mmcl.evaluation.compare import compare as compared
    from mmcl.evaluation.metrics import FIGURES
    from mmcl.report.comparison import tables

    check_json(json)
    if len(benchmarks) < 2:
        raise typer.BadParameter("give at least two", param_hint="BENCHMARKS")
    if metric not in FIGURES:
        raise typer.BadParameter(f"{metric} is none of {', '.join(FIGURES)}", param_hint="--metric")
    with reported():
        result = compared(benchmarks, member, metric)

    def show() -> None:
        out = table_console()
        for table in tables(result, per_class, hard):
            out.print(table)

    give(json, result, show)
    for note in result["notes"]:
        message(note)
