"""`mmcl answers`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmcl.cli.app import app
from mmcl.cli.common import Configs, message, reported, require_parent, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Examples: mmcl answers ntu120_xsub --json answers.json --picture answers.png --gallery gallery.png; "
    "mmcl answers results/answers/demo/demo-blip/whether-the-people-are-302e3a4e",
)
def answers(
    named: Annotated[
        Path,
        typer.Argument(
            metavar="BENCHMARK",
            help="A benchmark of config.yaml, trained or not, of whose data set all answers are examined; a finished "
            "benchmark (name, folder or ensemble.json); or a folder of answer stores.",
        ),
    ],
    clips: Annotated[
        Literal["train", "test", "all"], typer.Option(help="Which clips of the protocol to look at.")
    ] = "train",
    protocol: Annotated[str | None, typer.Option(help="Another protocol than the benchmark's.")] = None,
    config: Configs = None,
    skeletons: Annotated[
        Path | None,
        typer.Option(
            help="The data set's store of skeletons, with its labels, instead of results/skeletons/<dataset>.h5."
        ),
    ] = None,
    shuffles: Annotated[int, typer.Option(min=99, help="How often labels are shuffled.")] = 999,
    rows: Annotated[int, typer.Option(min=0, help="Texts of each question to show.")] = 5,
    json: Json = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw p(yes), the rate of yes by class and what is told to this PNG.")
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write a contact sheet of pictures, classes and answers to this PNG."),
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="Clips of each class in the gallery.")] = 3,
) -> None:
    """Show what a vision-language model answered, and whether it tells anything about the actions.

    Text, p(yes) and hidden states are compared with shuffled answers: mutual information with the class, and a linear
    probe cross-validated over subjects. Run it before training with FRM: what no answer tells, FRM cannot add.
    """
    from mmcl.evaluation.answers import examine, find_answers
    from mmcl.report import answers as report
    from mmcl.report.gallery import draw_gallery, gather

    check_json(json)
    for path, hint in ((picture, "--picture"), (gallery, "--gallery")):
        require_parent(path, hint)
    with reported():
        request = find_answers(named, config or (), protocol, skeletons)
        result = examine(request, clips, shuffles)

    def show() -> None:
        out = table_console()
        for part in report.tables(result, rows):
            out.print(part)

    give(json, result, show)
    for note in result["notes"]:
        message(note)
    with reported():
        if picture:
            report.draw(result, picture)
        if gallery:
            drawn = draw_gallery(gather(request, clips, each), gallery)
            typer.echo(f"{drawn} clips drawn to {gallery}", err=True)
