"""`mmcl init`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, table_console
from mmcl.cli.json_option import Json, check_json, give

if TYPE_CHECKING:
    from mmcl.guess.describe import Description


@app.command(
    epilog="Examples: mmcl init study && cd study && snakemake --cores 2; mmcl init study --data recordings/"
)
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to work in; made where it is missing.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of recordings (skeletons, videos), or one file of another tool: how to read it is guessed "
            "and written into config.yaml, with the reasons, and a table of the clips beside it."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the data set and its benchmark; the data's own if left out.")
    ] = None,
    json: Json = None,
) -> None:
    """Lay a working directory: Snakefile, config.yaml, profiles. The workflow then runs there without a clone.

    Prints the files it wrote. It never changes a file that is there; with --data it adds to config.yaml, prints what it
    guessed of the recordings, and says what to check and what to run next.
    """
    from mmcl.working_directory import lay

    check_json(json)
    if data is None:
        if name or json:
            raise typer.BadParameter("goes with --data", param_hint="--name" if name else "--json")
        with reported():
            for path in lay(folder):
                typer.echo(path)
        message(f"in {folder}, `snakemake --cores 2` runs the demo, and config.yaml names your data")
        return
    from pydantic import TypeAdapter, ValidationError

    from mmcl.guess.describe import dataset_name, describe
    from mmcl.guess.write import as_json, check_name, next_command, write_project
    from mmcl.settings import base
    from mmcl.settings.loading import read_config

    if name:
        try:
            TypeAdapter(base.Name).validate_python(name)
        except ValidationError:
            raise typer.BadParameter(
                f"{name!r}: lower-case letters, digits and _ make a name", param_hint="--name"
            ) from None
    with reported():
        if not data.exists():
            raise typer.BadParameter(f"{data}: no such file or folder", param_hint="--data")
        if not (folder / "config.yaml").is_file():
            lay(folder)
        called = name or dataset_name(data)
        check_name(called, read_config(folder / "config.yaml"), folder / "config.yaml")
        described = describe(data, called, folder)
        written = write_project(described, folder)
    give(json, as_json(described, written), lambda: _show(described))
    message(f"wrote {', '.join(map(str, written))}")
    message(f"next: cd {folder} && {next_command(described)}")


def _show(described: "Description") -> None:
    from rich.table import Table

    table = Table(title=f"{described.name}: what the recordings are taken for")
    for column in ("", "guess", "because"):
        table.add_column(column, overflow="fold")
    for one in described.findings:
        table.add_row(one.what, one.value or "not known", one.why)
    console = table_console()
    console.print(table)
    for one in described.findings:
        if one.check:
            console.print(f"check {one.what}: {one.check}")
