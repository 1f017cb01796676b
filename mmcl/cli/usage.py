"""`mmcl usage`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import reported, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(epilog="Examples: mmcl usage; mmcl usage /scratch/me/mmcl --json usage.json")
def usage(
    root: Annotated[
        Path,
        typer.Argument(metavar="[FOLDER]", help="The working directory: the folder that holds results/."),
    ] = Path(),
    json: Json = None,
) -> None:
    """Show the memory, time and cores that the workflow's jobs were given, and what they used of them.

    One row a rule, from the files below results/times: to ask a cluster for what is needed (docs/cluster.md).
    """
    from mmcl.report import usage as report

    check_json(json)
    with reported():
        rows = report.usage(root)
    give(json, {"rules": rows}, lambda: table_console().print(report.table(rows)))
