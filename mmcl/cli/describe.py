"""`mmcl describe`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import reported, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Example: mmcl describe --backbone hdgcn --graph hd1 --classes 60 --layout ntu25, or mmcl describe --all",
)
def describe(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A finished benchmark (its name, folder or ensemble.json), the folder of a trained stream, or a "
            "model.pt."
        ),
    ] = None,
    member: Annotated[
        str | None, typer.Option(help="Which member of a benchmark, such as ctrgcn-natural-joint.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Without a model: a backbone's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Without a model: a table of all backbones.")] = False,
    classes: Annotated[int, typer.Option(min=1)] = 120,
    layout: Annotated[str, typer.Option(help="Joint layout: a name or a .json file.")] = "ntu25",
    persons: Annotated[int, typer.Option(min=1, help="People per clip.")] = 2,
    window: Annotated[int, typer.Option(min=1, help="Frames.")] = 64,
    graph: Annotated[str | None, typer.Option(help="The backbone's own by default.")] = None,
    width: Annotated[float, typer.Option(help="Factor on the number of channels.")] = 1.0,
    json: Json = None,
) -> None:
    """Show a network's size and cost: parameters, multiply-adds to recognise one clip, memory of one in training.

    Multiply-adds are those of matrix products and convolutions in one forward pass of one clip, as this
    implementation does them, all people there.
    """
    from mmcl.report.description import all_backbones, new_backbone, tables, trained_model

    if sum((model is not None, backbone is not None, every)) != 1:
        raise typer.BadParameter("give one of MODEL, --backbone and --all")
    form = {"num_classes": classes, "layout": layout, "persons": persons, "width": width}
    check_json(json)
    with reported():
        if model is not None:
            found = trained_model(model, member)
        elif backbone is not None:
            found = new_backbone(backbone, graph, window, form)
        else:
            found = all_backbones(window, form)

    def show() -> None:
        out = table_console()
        for part in tables(found):
            out.print(part)

    give(json, found, show)
