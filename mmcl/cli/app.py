"""The command line's application; each command is a file of its own."""

from typing import Annotated

import typer

from mmcl import __version__
from mmcl.cli.common import reported
from mmcl.cli.json_option import Commands
from mmcl.start import check_names, escape_output

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mmcl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Skeleton-based action recognition with multi-modality co-learning."""
    escape_output()
    with reported(2):
        check_names()
