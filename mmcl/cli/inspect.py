"""`mmcl inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import reported
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Example: mmcl inspect results/answers/demo/demo-blip/*/000-of-002.h5 --rows 5",
)
def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Stores (….h5), stores in progress (….h5.part), folders of trained streams, or finished benchmarks "
            "(name, folder or ensemble.json), of which the members' scores are shown."
        ),
    ],
    rows: Annotated[int, typer.Option(min=0, help="Clips to show of each store.")] = 3,
    picture: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of crops or montages to this PNG.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Clips on the contact sheet.")] = 24,
    json: Json = None,
) -> None:
    """Show what a store holds: schema, settings, arrays, classes, texts, completeness, failed clips, a few clips."""
    from shutil import get_terminal_size

    from mmcl.evaluation.finished import stores_of
    from mmcl.inspect import WIDTH, examine
    from mmcl.inspect import inspect as describe
    from mmcl.report.contact_sheet import contact_sheet

    check_json(json)
    with reported():
        stores = [store for path in paths for store in stores_of(path)]
        width = max(WIDTH, get_terminal_size().columns)
        found = [examine(store, rows) for store in stores] if json else []
        give(
            json,
            {"stores": found},
            lambda: typer.echo("\n\n".join(describe(store, rows, width) for store in stores)),
        )
        if picture:
            drawn = contact_sheet(stores, picture, count)
            typer.echo(f"{drawn} clips drawn to {picture}", err=True)
