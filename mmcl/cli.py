"""The command line. Data goes to stdout, talk to stderr; bad arguments end with status 2."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.errors import UserError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Skeleton-based action recognition with multi-modality co-learning."""


@app.command(
    epilog="Example: mmcl inspect results/answers/demo/demo-blip/*/000-of-002.h5 --rows 5",
)
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Stores (….h5), or stores in progress (….h5.part).")],
    rows: Annotated[int, typer.Option(min=0, help="Clips to show of each store.")] = 3,
    picture: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of crops or montages to this PNG.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Clips on the contact sheet.")] = 24,
) -> None:
    """Show what a store holds: schema, settings, arrays, completeness, failed clips, a few rows."""
    from mmcl.inspect import inspect as describe
    from mmcl.report.contact_sheet import contact_sheet

    try:
        typer.echo("\n\n".join(describe(path, rows) for path in paths))
        if picture:
            drawn = contact_sheet(paths, picture, count)
            typer.echo(f"{drawn} clips drawn to {picture}", err=True)
    except UserError as error:
        typer.echo(f"mmcl: {error}", err=True)
        raise typer.Exit(1) from None
