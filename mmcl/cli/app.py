"""The command line's application; each command is a file of its own."""

import typer

from mmcl.cli.common import reported
from mmcl.cli.json_option import Commands
from mmcl.start import check_names, escape_output

app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Skeleton-based action recognition with multi-modality co-learning."""
    escape_output()
    with reported(2):
        check_names()
