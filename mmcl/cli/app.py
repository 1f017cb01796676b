"""The command line's application; each command is a file of its own."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Skeleton-based action recognition with multi-modality co-learning."""
