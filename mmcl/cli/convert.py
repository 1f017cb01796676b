"""`mmcl convert`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reader_options, reported, require_parent
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Examples: mmcl convert NTU60_CS.npz ntu60.h5 --option names=skes_available_name.txt; "
    "mmcl convert results/skeletons/ntu60.h5 NTU60_CV.npz --protocol ntu60_xview; "
    "mmcl convert all_sqe nw_ucla.pkl --reader nw_ucla",
)
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A store of skeletons (….h5), CTR-GCN's .npz, pyskl's .pkl, CrosSCLR's folder; with --reader "
            "whatever that reads.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="….h5 (a store), ….npz (CTR-GCN), ….pkl (pyskl), or a folder (CrosSCLR)."
        ),
    ],
    reader: Annotated[str | None, typer.Option(help="ntu, utd_mhad, nw_ucla, …; found by the file.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the reader, such as names=skes_available_name.txt; repeatable."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Whose training and test clips; .npz and folder need it.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Joint layout of OUT; that of IN by default.")] = None,
    person2: Annotated[
        str,
        typer.Option(help="zeros, or duplicated: what .npz and folder hold for an absent second person."),
    ] = "zeros",
    ikem: Annotated[
        bool, typer.Option("--ikem", help="A folder's labels with frame counts, as IKEM.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
    json: Json = None,
) -> None:
    """Turn skeletons of other tools into a store, and a store into other tools' files.

    What was written, what was left out and why goes to the standard error. OUT appears whole or not at all.
    """
    from mmcl.exchange.convert import convert as converted
    from mmcl.exchange.convert import source_settings

    check_json(json)
    options = reader_options(option)
    require_parent(output, "OUT")
    if person2 not in ("zeros", "duplicated"):
        raise typer.BadParameter(f"{person2} is neither zeros nor duplicated", param_hint="--person2")
    with reported():
        summary = converted(
            source,
            output,
            source_settings(source, reader, options),
            protocol=protocol,
            layout=layout,
            person2=person2,
            ikem=ikem,
            force=force,
            report=message,
        )
    give(json, summary, lambda: None)
