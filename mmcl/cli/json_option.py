"""`--json`, the same for every command that prints a table."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

OPTION, STDOUT = "--json", "-"

Json = Annotated[
    Path | None,
    typer.Option(
        OPTION,
        metavar="[OUT.json]",
        help="Print JSON in place of tables. With a file that ends in .json: write it there, and print the tables. "
        "docs/commands.md has the keys.",
    ),
]


class Commands(TyperGroup):
    """Commands whose `--json` may stand alone: it takes the next argument only if that is `-` or ends in .json."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See click."""
        name, command, rest = super().resolve_command(ctx, args)
        takes_a_file = any(
            OPTION in option.opts and not getattr(option, "is_flag", False)
            for option in getattr(command, "params", ())
        )
        return name, command, _completed(rest) if takes_a_file else rest


def _completed(args: Sequence[str]) -> list[str]:
    """Arguments in which each `--json` has a value."""
    options, end, rest = list(args), "--", []
    if end in options:
        place = options.index(end)
        options, rest = options[:place], options[place:]
    found = []
    for number, argument in enumerate(options):
        found.append(argument)
        following = options[number + 1] if number + 1 < len(options) else ""
        if argument == OPTION and not (following == STDOUT or following.lower().endswith(".json")):
            found.append(STDOUT)
    return found + rest


def check_json(path: Path | None) -> None:
    """End with status 2 where `--json` cannot be written, or would replace a benchmark's result."""
    from mmcl.cli.common import require_parent
    from mmcl.evaluation.finished import find_benchmark

    if path is None or str(path) == STDOUT:
        return
    if path.suffix.lower() != ".json":
        raise typer.BadParameter(f"{path} does not end in .json", param_hint=OPTION)
    require_parent(path, OPTION)
    if path.is_file() and path.name == "ensemble.json" and find_benchmark(path):
        raise typer.BadParameter(
            f"{path} is the result of a benchmark; to print JSON, put {OPTION} at the end", param_hint=OPTION
        )


def give(path: Path | None, result: Any, show: Callable[[], None], status: int = 1) -> None:
    """Print a result: as JSON if `--json` stands alone, else by `show`; then write it to the file, if there is one.

    Args:
        path: of the option.
        result: for JSON.
        show: prints it for a reader.
        status: that the command ends with where the file cannot be written.
    """
    from mmcl.cli.common import reported
    from mmcl.files import json_text, write_json

    result = plain(result)
    if path is not None and str(path) == STDOUT:
        typer.echo(json_text(result), nl=False)
        return
    show()
    if path is not None:
        with reported(status):
            write_json(path, result)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers that are not finite become null, paths text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return plain(value.tolist())
    return str(value) if isinstance(value, Path) else value
