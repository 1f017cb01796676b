"""`mmcl audit`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import Configs, reader_options, reported, require_parent, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Examples: mmcl audit nw_ucla --skeletons all_sqe --json found.json --exclude copies.txt; "
    "mmcl audit results/skeletons/utd_mhad.h5 --protocol odd_subjects",
)
def audit(
    dataset: Annotated[
        str,
        typer.Argument(help="A data set of config.yaml, a store of skeletons (….h5), or a reader's name."),
    ],
    skeletons: Annotated[
        Path | None, typer.Option(help="Folder of recordings, instead of the config's.")
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of videos, instead of the config's.")] = None,
    reader: Annotated[
        str | None, typer.Option(help="Reader of the recordings, instead of the config's.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the reader, such as modality=depth; repeatable.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Look for training clips among the test clips; by default as the config's benchmarks do."
        ),
    ] = None,
    config: Configs = None,
    names: Annotated[
        Path | None, typer.Option(help="A list of names, one a line, to compare with the data set's.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Metres below which two movements are near-identical.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second of the skeletons.")] = 30.0,
    json: Json = None,
    exclude: Annotated[
        Path | None, typer.Option(help="Write the copies to this file, for a benchmark's `exclude`.")
    ] = None,
    side: Annotated[str, typer.Option(help="Which copies --exclude lists: test, train or both.")] = "test",
    rows: Annotated[int, typer.Option(min=0, help="Examples of each kind to print.")] = 3,
) -> None:
    """Look for copies across training and test, damage, exchanged sides and wrong labels.

    Ends with status 0 if nothing was found, 1 if something was, 2 if it could not be looked for. Hints do not count.
    """
    import shlex
    import sys

    from mmcl import audit as audits
    from mmcl.audit.request import open_request

    if side not in ("test", "train", "both"):
        raise typer.BadParameter(f"{side} is not test, train or both", param_hint="--side")
    check_json(json)
    require_parent(exclude, "--exclude")
    options = reader_options(option)
    with reported(2):
        asked = open_request(dataset, skeletons, videos, reader, options, protocol, config or ())
        if exclude and asked.protocol is None:
            raise typer.BadParameter("needs --protocol", param_hint="--exclude")
        sides = audits.part(asked.source, asked.protocol, asked.rule) if asked.protocol else None
        within = audits.TOLERANCE if tolerance is None else tolerance
        report = audits.audit(asked.source, sides, asked.protocol, within, rate, names)

    def show() -> None:
        out = table_console()
        for table in audits.tables(report, rows):
            out.print(table)

    give(json, report.as_json(), show, 2)
    with reported(2):
        if exclude:
            count = audits.write_exclusion(exclude, report, side, shlex.join(["mmcl", *sys.argv[1:]]))
            typer.echo(f"mmcl: {exclude}: {count} clips", err=True)
    raise typer.Exit(0 if report.clean else 1)
