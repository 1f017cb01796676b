"""The command line. Data goes to stdout, talk to stderr; bad arguments end with status 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcl.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def _told(status: int = 1) -> Iterator[None]:
    """Tell a user's mistake in one line and end with a status."""
    try:
        yield
    except UserError as error:
        typer.echo(f"mmcl: {error}", err=True)
        raise typer.Exit(status) from None


def _console() -> "Console":
    """Where tables go: at least as wide as they are, also where the output is no terminal."""
    from rich.console import Console

    return Console(highlight=False, width=max(110, Console().width))


def _must_lie_in_a_folder(path: Path | None, hint: str) -> None:
    if path and not path.parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder", param_hint=hint)


def _options(texts: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE texts as settings, the values read as YAML."""
    import yaml

    if wrong := [text for text in texts or () if "=" not in text]:
        raise typer.BadParameter(f"{wrong[0]} is not KEY=VALUE", param_hint="--option")
    try:
        return {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in texts or ())}
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"a value is no YAML: {error}", param_hint="--option") from None


@app.callback()
def main() -> None:
    """Skeleton-based action recognition with multi-modality co-learning."""


@app.command(
    epilog="Example: mmcl inspect results/answers/demo/demo-blip/*/000-of-002.h5 --rows 5",
)
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Stores (….h5), or stores in progress (….h5.part).")],
    rows: Annotated[int, typer.Option(min=0, help="Clips to show of each store.")] = 3,
    picture: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of crops or montages to this PNG.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Clips on the contact sheet.")] = 24,
) -> None:
    """Show what a store holds: schema, settings, arrays, completeness, failed clips, a few rows."""
    from mmcl.inspect import inspect as describe
    from mmcl.report.contact_sheet import contact_sheet

    with _told():
        typer.echo("\n\n".join(describe(path, rows) for path in paths))
        if picture:
            drawn = contact_sheet(paths, picture, count)
            typer.echo(f"{drawn} clips drawn to {picture}", err=True)


@app.command(
    epilog="Example: mmcl compare results/ntu120_xsub_no_fam/ensemble.json results/ntu120_xsub/ensemble.json "
    "--member joint-natural --json difference.json",
)
def compare(
    benchmarks: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            help="Two or more, the baseline first: ensemble.json files or their folders, or streams' folders "
            "with seed-<n>/scores.h5.",
        ),
    ],
    member: Annotated[
        str | None, typer.Option(help="Compare this member of each ensemble alone, such as joint-natural.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="top1, top5, mean_class_accuracy, macro_precision, macro_recall, macro_f1, ece or nll."
        ),
    ] = "top1",
    json: Annotated[Path | None, typer.Option(help="Write everything to this file.")] = None,
) -> None:
    """Compare finished benchmarks with the first, paired over seeds and over test clips.

    Over seeds: differences and the 95 % t-interval of their mean. Over clips: 95 % bootstrap interval of the
    difference averaged over seeds, and McNemar's exact test of each seed. Differences are candidate less baseline.
    """
    from mmcl.evaluation.compare import compare as compared
    from mmcl.evaluation.metrics import FIGURES
    from mmcl.files import write_json
    from mmcl.report.comparison import tables

    if len(benchmarks) < 2:
        raise typer.BadParameter("give at least two", param_hint="BENCHMARKS")
    if metric not in FIGURES:
        raise typer.BadParameter(f"{metric} is none of {', '.join(FIGURES)}", param_hint="--metric")
    _must_lie_in_a_folder(json, "--json")
    with _told():
        result = compared(benchmarks, member, metric)
    console = _console()
    for table in tables(result):
        console.print(table)
    for note in result["notes"]:
        typer.echo(f"mmcl: {note}", err=True)
    if json:
        write_json(json, result)


@app.command(
    epilog="Example: mmcl export results/ntu120_xsub/…/joint/seed-1/model.pt joint.onnx --people 1",
)
def export(
    model: Annotated[Path, typer.Argument(help="model.pt of a trained stream.")],
    output: Annotated[Path, typer.Argument(help="….onnx, or ….pt2 for torch.export.")],
    people: Annotated[
        int | None,
        typer.Option(min=1, help="People per clip, if fewer than the model's; the others count as absent."),
    ] = None,
) -> None:
    """Write a trained network for other programs: the backbone alone, for any number of clips at once.

    It takes a stream's clips, (clips, 3, window, joints, people) float32, and gives logits. What was written is run
    and compared with the model. Classes, stream, joint layout and window stand in the file's metadata.
    """
    from mmcl.evaluation.score import load_model
    from mmcl.models.export import export as write

    _must_lie_in_a_folder(output, "OUTPUT")
    with _told():
        trained = load_model(model)
        difference = write(trained.model.backbone, output, trained.clip_shape, trained.about, people)
    typer.echo(f"{output}: written; its logits differ from the model's by {difference:.1e} at most", err=True)


@app.command(
    epilog="Example: mmcl describe --backbone hdgcn --graph hd1 --classes 60 --layout ntu25, or mmcl describe --all",
)
def describe(
    model: Annotated[Path | None, typer.Argument(help="model.pt of a trained stream.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Without a model: a backbone's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Without a model: a table of all backbones.")] = False,
    classes: Annotated[int, typer.Option(min=1)] = 120,
    layout: Annotated[str, typer.Option(help="Joint layout: a name or a .json file.")] = "ntu25",
    persons: Annotated[int, typer.Option(min=1, help="People per clip.")] = 2,
    window: Annotated[int, typer.Option(min=1, help="Frames.")] = 64,
    graph: Annotated[str | None, typer.Option(help="The backbone's own by default.")] = None,
    width: Annotated[float, typer.Option(help="Factor on the number of channels.")] = 1.0,
) -> None:
    """Show a network's size and cost: parameters, and multiply-adds to recognise one clip.

    Multiply-adds are those of matrix products and convolutions in one forward pass of one clip, as this
    implementation does them, all people there.
    """
    from mmcl.report.description import all_backbones, new_backbone, trained_model

    if sum((model is not None, backbone is not None, every)) != 1:
        raise typer.BadParameter("give one of MODEL, --backbone and --all")
    form = {"num_classes": classes, "layout": layout, "persons": persons, "width": width}
    console = _console()
    with _told():
        if model is not None:
            shown = trained_model(model)
        elif backbone is not None:
            shown = new_backbone(backbone, graph, window, form)
        else:
            shown = all_backbones(window, form)
    for part in shown:
        console.print(part)


@app.command(
    name="predict",
    epilog="Example: mmcl predict results/demo_xsub/…/joint/seed-1/model.pt recordings/ --reader ntu --top 3",
)
def predict_classes(
    model: Annotated[Path, typer.Argument(help="model.pt of a trained stream.")],
    skeletons: Annotated[
        Path,
        typer.Argument(
            help="A store of skeletons (….h5); with --reader a folder of recordings, or one of them."
        ),
    ],
    reader: Annotated[
        str | None, typer.Option(help="Read recordings as the sensor wrote them: ntu, utd_mhad, …")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the reader, such as person2=duplicated; repeatable."),
    ] = None,
    names: Annotated[list[str] | None, typer.Option(help="Only this clip; repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes per clip.")] = 5,
    csv: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the standard output.")
    ] = None,
) -> None:
    """Recognise actions from skeletons: CSV of the best classes of each clip with their softmax scores.

    Clips that cannot be read are named on the standard error, and the others go on. Joint layouts other than the
    model's are mapped by the joints' names.
    """
    import io
    import sys

    from mmcl import device
    from mmcl.evaluation.recognise import open_recordings, write_csv
    from mmcl.evaluation.score import load_model
    from mmcl.files import write_text

    if option and reader is None:
        raise typer.BadParameter("needs --reader", param_hint="--option")
    options = _options(option)
    _must_lie_in_a_folder(csv, "--csv")
    output = io.StringIO() if csv else sys.stdout
    with _told():
        recordings = open_recordings(skeletons, reader, options, names or ())
        trained = load_model(model, device.pick())
        write_csv(trained, recordings, top, output, lambda text: typer.echo(f"mmcl: {text}", err=True))
    if isinstance(output, io.StringIO) and csv:
        write_text(csv, output.getvalue())


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
    config: Annotated[Path | None, typer.Option(help="Another config.yaml.")] = None,
    names: Annotated[
        Path | None, typer.Option(help="A list of names, one a line, to compare with the data set's.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Metres below which two movements are near-identical.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second of the skeletons.")] = 30.0,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file.")] = None,
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
    from mmcl.files import write_json

    if side not in ("test", "train", "both"):
        raise typer.BadParameter(f"{side} is not test, train or both", param_hint="--side")
    _must_lie_in_a_folder(json, "--json")
    _must_lie_in_a_folder(exclude, "--exclude")
    options = _options(option)
    with _told(2):
        asked = open_request(dataset, skeletons, videos, reader, options, protocol, config)
        if exclude and asked.protocol is None:
            raise typer.BadParameter("needs --protocol", param_hint="--exclude")
        sides = audits.part(asked.source, asked.protocol, asked.rule) if asked.protocol else None
        within = audits.TOLERANCE if tolerance is None else tolerance
        report = audits.audit(asked.source, sides, asked.protocol, within, rate, names)
    console = _console()
    for table in audits.tables(report, rows):
        console.print(table)
    if json:
        write_json(json, report.as_json())
    if exclude:
        count = audits.write_exclusion(exclude, report, side, shlex.join(["mmcl", *sys.argv[1:]]))
        typer.echo(f"mmcl: {exclude}: {count} clips", err=True)
    raise typer.Exit(0 if report.clean else 1)


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
) -> None:
    """Turn skeletons of other tools into a store, and a store into other tools' files.

    What was written, what was left out and why goes to the standard error. OUT appears whole or not at all.
    """
    from mmcl.exchange.convert import convert as converted

    options = _options(option)
    _must_lie_in_a_folder(output, "OUT")
    if person2 not in ("zeros", "duplicated"):
        raise typer.BadParameter(f"{person2} is neither zeros nor duplicated", param_hint="--person2")
    with _told():
        converted(
            source,
            output,
            reader=reader,
            options=options,
            protocol=protocol,
            layout=layout,
            person2=person2,
            ikem=ikem,
            force=force,
            tell=lambda text: typer.echo(f"mmcl: {text}", err=True),
        )
