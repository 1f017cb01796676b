"""`mmcl init`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported


@app.command(epilog="Example: mmcl init study && cd study && snakemake --cores 2")
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to work in; made where it is missing.")],
) -> None:
    """Lay a working directory: Snakefile, config.yaml, profiles. The workflow then runs there without a clone.

    Prints the files it wrote. It never changes a file that is there.
    """
    from mmcl.working_directory import lay

    with reported():
        for path in lay(folder):
            typer.echo(path)
    message(f"in {folder}, `snakemake --cores 2` runs the demo, and config.yaml names your data")
