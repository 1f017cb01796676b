"""`mmcl predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmcl.cli.app import app
from mmcl.cli.common import Configs, message, reader_options, reported, require_parent
from mmcl.cli.json_option import Json, check_json, give


@app.command(
    name="predict",
    epilog="Examples: mmcl predict demo_xsub recordings/ --reader ntu --top 3; "
    "mmcl predict demo_xsub recordings/ --reader ntu --member ctrgcn-natural-joint",
)
def predict_classes(
    model: Annotated[
        Path,
        typer.Argument(
            help="A finished benchmark (its name, folder or ensemble.json), the folder of a trained stream, or a "
            "model.pt. Of a benchmark the members are fused with its weights."
        ),
    ],
    skeletons: Annotated[
        Path,
        typer.Argument(
            help="A store of skeletons (….h5); with --reader a folder of recordings, or one of them; or the name of a "
            "data set of config.yaml, with or without labels."
        ),
    ],
    reader: Annotated[
        str | None, typer.Option(help="Read recordings as the sensor wrote them: ntu, utd_mhad, …")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the reader, such as person2=duplicated; repeatable."),
    ] = None,
    config: Configs = None,
    member: Annotated[
        str | None, typer.Option(help="This member of a benchmark alone, such as ctrgcn-natural-joint.")
    ] = None,
    names: Annotated[list[str] | None, typer.Option(help="Only this clip; repeatable.")] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Recognise clips that are unlike those of the training, too.")
    ] = False,
    precision: Annotated[
        Literal["fp32", "tf32", "bf16"] | None,
        typer.Option(
            help="Arithmetic on a GPU; unless stated that of the test clips' scores. bf16 is the fastest, scores then "
            "have two digits."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes per clip.")] = 5,
    csv: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the standard output.")
    ] = None,
    json: Json = None,
) -> None:
    """Recognise actions from skeletons: CSV of the best classes of each clip with their softmax scores.

    Clips that cannot be read are named on the standard error, and the others go on; so are clips whose layout, unit,
    depth or axes cannot be those of the training. Joint layouts other than the model's are mapped by the joints' names.
    """
    import io
    import sys

    from mmcl.config import config_files, find_dataset
    from mmcl.device import pick_device
    from mmcl.evaluation import recognise as recognising
    from mmcl.evaluation.finished import find_models
    from mmcl.evaluation.recognise import Recogniser, write_csv
    from mmcl.evaluation.recordings import open_dataset, open_recordings
    from mmcl.files import write_text

    if csv and json:
        raise typer.BadParameter("goes without --csv", param_hint="--json")
    check_json(json)
    if option and reader is None:
        raise typer.BadParameter("needs --reader", param_hint="--option")
    options = reader_options(option)
    require_parent(csv, "--csv")
    output = io.StringIO() if csv else sys.stdout
    with reported():
        device = pick_device()
        dataset = None if reader or skeletons.exists() else find_dataset(str(skeletons), config_files(config))
        if dataset:
            recordings = open_dataset(str(skeletons), dataset, names or ())
        else:
            recordings = open_recordings(skeletons, reader, options, names or ())
        found = find_models(model, member)
        recogniser = Recogniser.load(found.paths, found.weights, device, precision, found.normalise)
        if json:
            clips = recognising.collected(
                recognising.reported(recogniser, recordings, top, message, unchecked, shown=True),
                recordings.extra,
            )
            give(json, clips, lambda: None)
            return
        write_csv(recogniser, recordings, top, output, message, unchecked)
        if isinstance(output, io.StringIO) and csv:
            write_text(csv, output.getvalue())
