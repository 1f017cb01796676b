"""What all commands share: how errors end a command, options of readers, tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcl.errors import WITHOUT_GPU, UserError, memory_reported
from mmcl.files import FULL

if TYPE_CHECKING:
    from rich.console import Console


Configs = Annotated[
    list[Path] | None,
    typer.Option("--config", help="Goes on top of config.yaml, as Snakemake's --configfile; repeatable."),
]
"""The option of every command that reads the configuration."""


@contextmanager
def reported(status: int = 1) -> Iterator[None]:
    """Print a user's mistake, or a full disk, in one line and end with a status."""
    try:
        with memory_reported(WITHOUT_GPU, host=""):
            yield
    except UserError as error:
        message(str(error))
        raise typer.Exit(status) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        message(f"{error.filename or 'the output'}: disk full; free space and run again")
        raise typer.Exit(status) from None


def message(text: str) -> None:
    """A line on the standard error."""
    # a path may hold what is not UTF-8
    typer.echo(f"mmcl: {text.encode('utf-8', 'backslashreplace').decode()}", err=True)


def table_console() -> "Console":
    """Where tables go: at least as wide as they are, also where the output is no terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=max(110, Console().width))


def require_parent(path: Path | None, hint: str) -> None:
    """End with status 2 unless the folder of a file to write is there."""
    if path and not path.parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder", param_hint=hint)


def reader_options(texts: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE texts as a reader's options, the values read as YAML."""
    import yaml

    if wrong := [text for text in texts or () if "=" not in text]:
        raise typer.BadParameter(f"{wrong[0]} is not KEY=VALUE", param_hint="--option")
    try:
        return {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in texts or ())}
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"a value is no YAML: {error}", param_hint="--option") from None
