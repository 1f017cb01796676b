"""`mmcl fetch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, table_console

if TYPE_CHECKING:
    from rich.table import Table

    from mmcl.fetch.place import Checked, Placed


@app.command(
    epilog="Examples: mmcl fetch; mmcl fetch yolov5m; mmcl fetch inception_v3 --from /media/usb; "
    "mmcl fetch blip-vqa-capfilt-large --mirror https://hub.example.org; mmcl fetch --check",
)
def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Which weights; without it, a list of all there are.")
    ] = None,
    to: Annotated[Path, typer.Option(help="The folder of weights that the configuration names.")] = Path(
        "weights"
    ),
    origin: Annotated[
        str | None,
        typer.Option("--from", help="A folder, or the address of one, that has the files under their names."),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            help="Scheme and host of a server that has the files under the publisher's paths; for the hub, the "
            "variable HF_ENDPOINT does the same."
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Fetch nothing; check what is there.")] = False,
) -> None:
    """Fetch published weights, at a pinned revision and checked by size and sha256; nothing else of mmcl downloads.

    Prints sha256 and path of each file, as sha256sum does. What is there already and as published stays. With --check
    it ends with status 1 if a file is another than the published one, or one of NAME is missing.
    """
    from mmcl.fetch import place
    from mmcl.fetch.published import find

    if check and (origin or mirror):
        raise typer.BadParameter("goes without --from and --mirror", param_hint="--check")
    if origin and mirror:
        raise typer.BadParameter("goes without --from", param_hint="--mirror")
    if name is None and not check:
        if origin or mirror:
            raise typer.BadParameter("is missing", param_hint="NAME")
        table_console().print(_list(to))
        return
    with reported():
        if check:
            found = list(place.check(to, name))
            table_console().print(_states(found))
            wrong = {place.OTHER, place.MISSING} if name else {place.OTHER}
            raise typer.Exit(1 if any(item.state in wrong for item in found) else 0)
        assert name is not None
        entry, published = find(name)
        message(f"{entry}: {published.what}; licence {published.licence}")
        placed = place.fetch(entry, to, origin, mirror)
        for item in placed:
            typer.echo(f"{item.sha256}  {item.path}")
        _say(entry, to, placed)


def _say(entry: str, to: Path, placed: "list[Placed]") -> None:
    """How it ended, and what the configuration may state."""
    from mmcl.fetch.published import NOT_PINNED, find
    from mmcl.naming import sha256

    _, published = find(entry)
    weights = published.weights(entry, to)
    if not any(item.new for item in placed):
        message(f"{weights}: is there already")
    if loose := [item.path.name for item in placed if not item.pinned]:
        message(f"{', '.join(loose)}: {NOT_PINNED}: nothing could tell whether it is the published file")
    message(
        f"to hold every run to it, state in config.yaml {published.configured(entry, to, sha256(weights))}"
    )


def _list(to: Path) -> "Table":
    from rich.table import Column, Table

    from mmcl.fetch.published import NOT_PINNED, table

    name_column = Column("name", no_wrap=True)
    shown = Table(name_column, "what", "licence", "size", "sha256", "there", title="Published weights")
    for name, published in table().items():
        files = list(published.files.values())
        size = sum(file.size or 0 for file in files)
        there = all(path.is_file() for _, path in published.places(name, to))
        shown.add_row(
            name,
            published.what,
            published.licence,
            f"{size / 1e6:,.1f} MB" if size else "unknown",
            f"{files[-1].sha256[:8]}…" if files[-1].sha256 else NOT_PINNED,
            "yes" if there else "",
        )
    return shown


def _states(found: "list[Checked]") -> "Table":
    from rich.table import Table

    shown = Table("name", "file", "state", "", title="Weights")
    for item in found:
        shown.add_row(item.name, str(item.path), item.state, item.detail)
    return shown
