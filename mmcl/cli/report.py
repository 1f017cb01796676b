"""`mmcl report`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, require_parent
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Example: mmcl report ntu120_xsub --baseline ntu120_xsub_plain --output ntu120.html",
)
def report(
    benchmark: Annotated[
        Path,
        typer.Argument(help="A finished benchmark: its name, folder, ensemble.json or ikem/result.json."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="The page; by default <benchmark>-report.html in this folder.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Another finished benchmark, of the same clips, that gains are given against."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the tables to this Markdown file.")
    ] = None,
    json: Json = None,
    cost: Annotated[
        bool,
        typer.Option(help="Count and time what recognising one clip costs, which takes a few seconds."),
    ] = True,
) -> None:
    """Write a report of a finished benchmark: one HTML page with all its pictures, to be read or sent offline.

    It shows what there is: accuracy with intervals, the paper's numbers, gains over a baseline, confusion, curves of
    training, zero-shot transfer, encoders without labels, questions and answers, crops, cost, and clips left out.
    """
    from mmcl.report.cost import measure_cost
    from mmcl.report.page import write_report
    from mmcl.report.sources import find_sources

    check_json(json)
    for path, hint in ((output, "--output"), (markdown, "--markdown")):
        require_parent(path, hint)
    with reported():
        sources = find_sources(benchmark, baseline)
        page = output or Path(f"{sources.benchmark}-report.html")
        measured = measure_cost(sources.finished) if cost and sources.finished else None
        found = write_report(sources, page, cost=measured, markdown=markdown)
    message(f"report of {sources.benchmark} written to {page}")
    give(json, found, lambda: None)
