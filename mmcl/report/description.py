"""What `mmcl describe` prints: size and cost of networks."""

from pathlib import Path
from typing import Any

from rich.table import Table

from mmcl.evaluation.finished import the_model
from mmcl.layouts import get_layout
from mmcl.models import build_backbone
from mmcl.models.backbone import Backbone
from mmcl.models.describe import count_parameters
from mmcl.models.describe import describe as count
from mmcl.settings.tables import BACKBONES, default_graph
from mmcl.training.trained import load_model

Shown = list[Table | str]
COUNTED = "MACs: multiply-adds of matrix products and convolutions to recognise one clip, as this implementation does"
KEPT = "MB a clip in training: kept from the forward to the backward pass, in float32"


def trained_model(named: Path, member: str | None = None) -> dict[str, Any]:
    """A trained stream: its backbone, and what training had beside it.

    Args:
        named: a benchmark, the folder of a trained stream or a model.pt, see `mmcl.evaluation.finished`.
        member: of a benchmark.

    Returns:
        See `new_backbone`; also model (its path), stream, and beside_in_training {part: parameters}.

    Raises:
        UserError: no such file, or not such a model.
    """
    path = the_model(named, member)
    trained = load_model(path)
    settings, model = trained.settings.model, trained.model
    beside = {name.upper(): count_parameters(term) for name, term in model.terms.items()}
    beside["CNN"] = trained.cnn_parameters
    return {
        "model": str(path),
        "stream": trained.settings.stream,
        "backbone": settings.backbone,
        "graph": settings.graph,
        "width": settings.width,
        "layout": trained.layout,
        "classes": len(trained.classes),
        **_network(model.backbone, trained.clip_shape),
        "beside_in_training": {name: parameters for name, parameters in beside.items() if parameters},
    }


def new_backbone(name: str, graph: str | None, window: int, form: dict[str, Any]) -> dict[str, Any]:
    """A backbone as it is built.

    Args:
        name: a key of BACKBONES.
        graph: its graph; None for the one that it starts from by default.
        window: frames per clip.
        form: further arguments of `build_backbone`.

    Returns:
        backbone, graph, width, layout, classes, input (C, T, V, M), features (their width), parameters, macs, parts
        [{part, parameters, macs}], training_bytes (kept of each clip from the forward to the backward pass, float32).

    Raises:
        UserError: no such backbone, or it cannot be built like this.
    """
    graph = graph or default_graph(name)
    net = build_backbone(name, graph=graph, **form)
    return {
        "backbone": name,
        "graph": graph,
        "width": form["width"],
        "layout": form["layout"],
        "classes": form["num_classes"],
        **_network(net, (3, window, len(get_layout(form["layout"])))),
    }


def all_backbones(window: int, form: dict[str, Any]) -> dict[str, Any]:
    """All backbones, with the arguments as in `new_backbone`.

    Returns:
        input (C, T, V, M), backbones [{backbone, graph, parameters, macs, features, training_bytes}].

    Raises:
        UserError: one cannot be built like this.
    """
    shape = (3, window, len(get_layout(form["layout"])))
    found = []
    for name in BACKBONES:
        graph = default_graph(name)
        network = _network(build_backbone(name, graph=graph, **form), shape)
        del network["input"], network["parts"]
        found.append({"backbone": name, "graph": graph, **network})
    return {"input": [*shape, form["persons"]], "backbones": found}


def _network(net: Backbone, shape: tuple[int, int, int]) -> dict[str, Any]:
    found = count(net, shape)
    return {
        "input": [*shape, net.persons],
        "features": found.feature_dim,
        "parameters": found.whole.parameters,
        "macs": found.whole.macs,
        "training_bytes": found.kept,
        "parts": [
            {"part": part.name, "parameters": part.parameters, "macs": part.macs} for part in found.parts
        ],
    }


def tables(described: dict[str, Any]) -> Shown:
    """What one of the functions above found, for a reader."""
    if "backbones" in described:
        return _table_of_all(described)
    before = f"{described['model']}: " if "model" in described else ""
    stream = f", stream {described['stream']}" if "stream" in described else ""
    title = f"{before}{described['backbone']}, graph {described['graph']}, width {described['width']}{stream}"
    title += f", layout {described['layout']}, {described['classes']} classes"
    table = Table("part")
    for column in ("parameters", "million MACs"):
        table.add_column(column, justify="right")
    for part in described["parts"]:
        table.add_row(part["part"], *_figures(part))
    table.add_section()
    table.add_row("whole", *_figures(described))
    inputs = f"input {_shape(described)}; features {described['features']}"
    kept = (
        f"in training each clip keeps {described['training_bytes'] / 1e6:.1f} MB from the forward to the backward "
        "pass, in float32"
    )
    beside = ", ".join(f"{name} {count:,}" for name, count in described.get("beside_in_training", {}).items())
    note = f"beside it in training: {beside} parameters, which inference does without" if beside else ""
    return [title, inputs, table, COUNTED, kept, *filter(None, [note])]


def _table_of_all(described: dict[str, Any]) -> Shown:
    table = Table("backbone", "graph")
    for column in ("parameters", "million MACs", "features", "MB a clip in training"):
        table.add_column(column, justify="right")
    for one in described["backbones"]:
        kept = f"{one['training_bytes'] / 1e6:.1f}"
        table.add_row(one["backbone"], one["graph"], *_figures(one), str(one["features"]), kept)
    return [f"input {_shape(described)}", table, COUNTED, KEPT]


def _figures(one: dict[str, Any]) -> tuple[str, str]:
    return f"{one['parameters']:,}", f"{one['macs'] / 1e6:,.1f}"


def _shape(described: dict[str, Any]) -> str:
    sizes = ", ".join(map(str, described["input"]))
    return f"(N, {sizes}): clips, channels, frames, joints, people"
