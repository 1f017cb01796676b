"""`mmcl export`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import reported, require_parent
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    epilog="Example: mmcl export ntu120_xsub joint.onnx --member ctrgcn-natural-joint --people 1",
)
def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="A finished benchmark (its name, folder or ensemble.json), "
            "the folder of a trained stream, or a model.pt."
        ),
    ],
    output: Annotated[Path, typer.Argument(help="….onnx, or ….pt2 for torch.export.")],
    people: Annotated[
        int | None,
        typer.Option(min=1, help="People per clip, if fewer than the model's; the others count as absent."),
    ] = None,
    member: Annotated[
        str | None, typer.Option(help="Which member of a benchmark, such as ctrgcn-natural-joint.")
    ] = None,
    json: Json = None,
) -> None:
    """Write a trained network for other programs: the backbone alone, for any number of clips at once.

    It takes a stream's clips, (clips, 3, window, joints, people) float32, and gives logits. What was written is run
    and compared with the model. Classes, stream, joint layout and window are in the file's metadata.
    """
    from mmcl.evaluation.finished import the_model
    from mmcl.models.export import export as write
    from mmcl.training.trained import load_model

    check_json(json)
    require_parent(output, "OUTPUT")
    with reported():
        trained = load_model(the_model(model, member))
        difference = write(trained.model.backbone, output, trained.clip_shape, trained.about, people)

    def show() -> None:
        typer.echo(
            f"{output}: written; its logits differ from the model's by {difference:.1e} at most", err=True
        )

    give(json, {"output": output, "most_difference": difference, **trained.about}, show)
