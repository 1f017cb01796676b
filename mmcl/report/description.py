"""What `mmcl describe` prints: size and cost of networks."""

from pathlib import Path
from typing import Any

from rich.table import Table

from mmcl.evaluation.finished import the_model
from mmcl.layouts import get_layout
from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.models.describe import Description, count_parameters
from mmcl.models.describe import describe as count
from mmcl.settings.tables import BACKBONES, default_graph
from mmcl.training.trained import load_model

Shown = list[Table | str]
COUNTED = "MACs: multiply-adds of matrix products and convolutions to recognise one clip, as this implementation does"
KEPT = "MB a clip in training: kept from the forward to the backward pass, in float32"


def trained_model(named: Path, member: str | None = None) -> Shown:
    """A trained stream: its backbone, and what training had beside it.

    Args:
        named: a benchmark, the folder of a trained stream or a model.pt, see `mmcl.evaluation.finished`.
        member: of a benchmark.

    Raises:
        UserError: no such file, or not such a model.
    """
    path = the_model(named, member)
    trained = load_model(path)
    settings, model = trained.settings.model, trained.model
    title = f"{path}: {settings.backbone}, graph {settings.graph}, width {settings.width}"
    title += f", stream {trained.settings.stream}, layout {trained.layout}, {len(trained.classes)} classes"
    beside = {name.upper(): count_parameters(term) for name, term in model.terms.items()}
    beside["CNN"] = trained.cnn_parameters
    carried = ", ".join(f"{name} {parameters:,}" for name, parameters in beside.items() if parameters)
    note = f"beside it in training: {carried} parameters, which inference does without" if carried else ""
    return [*_network(title, model.backbone, trained.clip_shape), *filter(None, [note])]


def new_backbone(name: str, graph: str | None, window: int, form: dict[str, Any]) -> Shown:
    """A backbone as it is built.

    Args:
        name: a key of BACKBONES.
        graph: its graph; None for the one that it starts from by default.
        window: frames per clip.
        form: further arguments of `build_backbone`.

    Raises:
        UserError: no such backbone, or it cannot be built like this.
    """
    graph = graph or default_graph(name)
    net = build_backbone(name, graph=graph, **form)
    title = f"{name}, graph {graph}, width {form['width']}, layout {form['layout']}, {form['num_classes']} classes"
    return _network(title, net, (3, window, len(get_layout(form["layout"]))))


def all_backbones(window: int, form: dict[str, Any]) -> Shown:
    """One row for every backbone, with the arguments as in `new_backbone`.

    Raises:
        UserError: one cannot be built like this.
    """
    shape = (3, window, len(get_layout(form["layout"])))
    table = Table("backbone", "graph")
    for column in ("parameters", "million MACs", "features", "MB a clip in training"):
        table.add_column(column, justify="right")
    for name in BACKBONES:
        graph = default_graph(name)
        found = count(build_backbone(name, graph=graph, **form), shape)
        table.add_row(name, graph, *_figures(found), str(found.feature_dim), f"{found.kept / 1e6:.1f}")
    return [f"input {_shape(shape, form['persons'])}", table, COUNTED, KEPT]


def _network(title: str, net: Backbone, shape: tuple[int, int, int]) -> Shown:
    found = count(net, shape)
    table = Table("part")
    for column in ("parameters", "million MACs"):
        table.add_column(column, justify="right")
    for part in found.parts:
        table.add_row(part.name, f"{part.parameters:,}", f"{part.macs / 1e6:,.1f}")
    table.add_section()
    table.add_row("whole", *_figures(found))
    inputs = f"input {_shape(shape, net.persons)}; features {found.feature_dim}"
    kept = f"in training each clip keeps {found.kept / 1e6:.1f} MB from the forward to the backward pass, in float32"
    return [title, inputs, table, COUNTED, kept]


def _figures(found: Description) -> tuple[str, str]:
    return f"{found.whole.parameters:,}", f"{found.whole.macs / 1e6:,.1f}"


def _shape(shape: tuple[int, int, int], persons: int) -> str:
    channels, frames, joints = shape
    return f"(N, {channels}, {frames}, {joints}, {persons}): clips, channels, frames, joints, people"
