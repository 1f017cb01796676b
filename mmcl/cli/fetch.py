"""`mmcl fetch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, table_console
from mmcl.cli.json_option import Json, check_json, give

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
    json: Json = None,
) -> None:
    """Fetch published weights, at a pinned revision and checked by size and sha256; nothing else of mmcl downloads.

    Prints sha256 and path of each file, as sha256sum does. What is there already and as published stays. With --check
    it ends with status 1 if a file is another than the published one, or one of NAME is missing.
    """
    from mmcl.fetch import place
    from mmcl.fetch.published import find

    check_json(json)
    if check and (origin or mirror):
        raise typer.BadParameter("goes without --from and --mirror", param_hint="--check")
    if origin and mirror:
        raise typer.BadParameter("goes without --from", param_hint="--mirror")
    if name is None and not check:
        if origin or mirror:
            raise typer.BadParameter("is missing", param_hint="NAME")
        known = _known(to)
        give(json, {"weights": known}, lambda: table_console().print(_list(known)))
        return
    with reported():
        if check:
            found = list(place.check(to, name))
            states = [
                {"name": item.name, "file": item.path, "state": item.state, "detail": item.detail}
                for item in found
            ]
            give(json, {"files": states}, lambda: table_console().print(_states(found)))
            wrong = {place.OTHER, place.MISSING} if name else {place.OTHER}
            raise typer.Exit(1 if any(item.state in wrong for item in found) else 0)
        assert name is not None
        entry, published = find(name)
        message(f"{entry}: {published.what}; licence {published.licence}")
        placed = place.fetch(entry, to, origin, mirror)

        def show() -> None:
            for item in placed:
                typer.echo(f"{item.sha256}  {item.path}")

        files = [
            {"file": item.path, "sha256": item.sha256, "new": item.new, "pinned": item.pinned}
            for item in placed
        ]
        give(json, {"name": entry, "files": files}, show)
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


def _known(to: Path) -> list[dict[str, Any]]:
    """What can be fetched; bytes and sha256 are null where they are not known."""
    from mmcl.fetch.published import table

    found = []
    for name, published in table().items():
        files = list(published.files.values())
        found.append(
            {
                "name": name,
                "what": published.what,
                "licence": published.licence,
                "bytes": sum(file.size or 0 for file in files) or None,
                "sha256": files[-1].sha256 or None,
                "weights": published.weights(name, to),
                "there": all(path.is_file() for _, path in published.places(name, to)),
            }
        )
    return found


def _list(known: list[dict[str, Any]]) -> "Table":
    from rich.table import Column, Table

    from mmcl.fetch.published import NOT_PINNED

    name_column = Column("name", no_wrap=True)
    shown = Table(name_column, "what", "licence", "size", "sha256", "there", title="Published weights")
    for one in known:
        size = f"{one['bytes'] / 1e6:,.1f} MB" if one["bytes"] else "unknown"
        digest = f"{one['sha256'][:8]}…" if one["sha256"] else NOT_PINNED
        shown.add_row(one["name"], one["what"], one["licence"], size, digest, "yes" if one["there"] else "")
    return shown


def _states(found: "list[Checked]") -> "Table":
    from rich.table import Table

    shown = Table("name", "file", "state", "", title="Weights")
    for item in found:
        shown.add_row(item.name, str(item.path), item.state, item.detail)
    return shown
